//! The pages of the visitor's account: where it is signed in, and its password.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use session::{Require, Session, SessionKey, SessionManager};

use crate::accounts::Accounts;
use crate::handlers::{Problem, html, page, see};
use crate::pages::{self, Place};
use crate::visit::{Notice, SignedIn, Sudo, Visit};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/account", web::get().to(account))
        .route("/account/end", web::post().to(end))
        .route("/account/end-others", web::post().to(end_others))
        .route("/account/confirm", web::get().to(confirm_page))
        .route("/account/confirm", web::post().to(confirm))
        .route("/account/password", web::get().to(password_page))
        .route("/account/password", web::post().to(change_password));
}

/// "Your devices": the live sessions of the user, each named by its key, which is no secret.
async fn account(
    mut session: Require<SignedIn>,
    sessions: SessionManager,
) -> Result<HttpResponse, Problem> {
    let page = page(&mut session, "/account");
    let mut places = Vec::new();
    for info in sessions.sessions_of(user(&session)?).await? {
        let visit = sessions.view::<Visit>(&info).await?;
        places.push(Place {
            key: info.key,
            browser: visit.map_or_else(String::new, |visit| visit.browser.clone()),
            last_seen: info.last_seen,
            is_this: session.is_same_session(&info),
        });
    }
    Ok(html(&pages::account(&page, &places)))
}

#[derive(Deserialize)]
struct EndForm {
    key: String,
}

/// A key of another user's session ends nothing: the manager asks for the owner too.
async fn end(
    mut session: Require<SignedIn>,
    sessions: SessionManager,
    form: web::Form<EndForm>,
) -> Result<HttpResponse, Problem> {
    let key: SessionKey = form.key.parse().map_err(|_| Problem::NotFound)?;
    let has_ended = sessions.revoke(user(&session)?, &key).await?;
    session.set_notice(Some(if has_ended {
        Notice::done("You are signed out there.")
    } else {
        Notice::refused("You were not signed in there any more.")
    }));
    Ok(see("/account"))
}

async fn end_others(
    mut session: Require<SignedIn>,
    sessions: SessionManager,
) -> Result<HttpResponse, Problem> {
    let revoked = sessions.revoke_others(&session).await?;
    let ended = revoked.ended;
    session.set_notice(Some(if revoked.unreadable.is_empty() {
        Notice::done(format!("Signed out elsewhere: {ended}."))
    } else {
        Notice::refused(format!(
            "Signed out elsewhere: {ended}, but not everywhere. Please try again."
        ))
    }));
    Ok(see("/account"))
}

async fn confirm_page(mut session: Require<SignedIn>) -> HttpResponse {
    let page = page(&mut session, "/account");
    html(&pages::confirm(&page))
}

#[derive(Deserialize)]
struct PasswordForm {
    password: String,
}

/// After the password was typed, `sudo` is true for ten minutes: the field's `ttl` says so.
async fn confirm(
    mut session: Require<SignedIn>,
    accounts: web::Data<Accounts>,
    form: web::Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    let name = user(&session)?.to_owned();
    let password = form.into_inner().password;
    if accounts.authenticate(name, password).await?.is_none() {
        session.set_notice(Some(Notice::refused("That is not your password.")));
        return Ok(see("/account/confirm"));
    }
    session.set_sudo(true);
    Ok(see("/account/password"))
}

async fn password_page(mut session: Require<Sudo>) -> HttpResponse {
    let left = session.expires_in_sudo();
    let page = page(&mut session, "/account/password");
    html(&pages::password(&page, left))
}

/// A browser that was signed in with the old password is signed out, except for this one.
async fn change_password(
    mut session: Require<Sudo>,
    sessions: SessionManager,
    accounts: web::Data<Accounts>,
    form: web::Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    let password = form.into_inner().password;
    if password.chars().count() < 8 {
        session.set_notice(Some(Notice::refused(
            "A password has at least eight characters.",
        )));
        return Ok(see("/account/password"));
    }
    accounts.change(user(&session)?, password).await?;
    let revoked = sessions.revoke_others(&session).await?;
    session.set_sudo(false);
    session.set_notice(Some(if revoked.unreadable.is_empty() {
        Notice::done("Your password has changed. You are signed out everywhere else.")
    } else {
        Notice::refused("Your password has changed, but you are still signed in elsewhere.")
    }));
    Ok(see("/account"))
}

fn user(session: &Session<Visit>) -> Result<&str, Problem> {
    session.user.as_deref().ok_or(Problem::SignInFirst)
}
