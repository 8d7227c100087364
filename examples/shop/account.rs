//! The pages of somebody's account: where they are signed in, and their password.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use session::{FilesystemStore, Require, Session, SessionHandle, SessionManager};

use crate::accounts::Accounts;
use crate::handlers::{BareForm, Problem, check, html, page, see};
use crate::pages::{self, Place};
use crate::visit::{SignedIn, Sudo, Visit};

/// The shop's sessions, for the handlers that look at others than the visitor's own.
pub(crate) type Sessions = SessionManager<FilesystemStore>;

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

async fn account(
    mut session: Require<SignedIn>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, Problem> {
    let page = page(&mut session)?;
    let mut places = Vec::new();
    for info in sessions.find(user(&session)?).await? {
        let visit = sessions.read::<Visit>(&info).await?;
        places.push(Place {
            handle: info.handle().to_string(),
            browser: visit.map_or_else(String::new, |visit| visit.browser.clone()),
            last_seen: info.last_seen,
            is_this: session.is(&info),
        });
    }
    Ok(html(&pages::account(&page, &places)))
}

#[derive(Deserialize)]
struct EndForm {
    csrf: String,
    handle: String,
}

async fn end(
    mut session: Require<SignedIn>,
    sessions: web::Data<Sessions>,
    form: web::Form<EndForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let handle = SessionHandle::from(form.into_inner().handle);
    let has_ended = sessions.revoke(user(&session)?, &handle).await?;
    session.set_notice(Some(String::from(if has_ended {
        "You are signed out there."
    } else {
        "You were not signed in there any more."
    })));
    Ok(see("/account"))
}

async fn end_others(
    mut session: Require<SignedIn>,
    sessions: web::Data<Sessions>,
    form: web::Form<BareForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let ended = sessions.revoke_others(&session).await?;
    session.set_notice(Some(format!("You are signed out in {ended} other places.")));
    Ok(see("/account"))
}

async fn confirm_page(mut session: Require<SignedIn>) -> Result<HttpResponse, Problem> {
    let page = page(&mut session)?;
    Ok(html(&pages::confirm(&page)))
}

#[derive(Deserialize)]
struct PasswordForm {
    csrf: String,
    password: String,
}

/// Typing the password opens what needs it for ten minutes: the field says so.
async fn confirm(
    mut session: Require<SignedIn>,
    accounts: web::Data<Accounts>,
    form: web::Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let name = user(&session)?.to_owned();
    let password = form.into_inner().password;
    if accounts.authenticate(name, password).await?.is_none() {
        session.set_notice(Some(String::from("That is not your password.")));
        return Ok(see("/account/confirm"));
    }
    session.set_sudo(true);
    Ok(see("/account/password"))
}

async fn password_page(mut session: Require<Sudo>) -> Result<HttpResponse, Problem> {
    let left = session.expires_in_sudo();
    let page = page(&mut session)?;
    Ok(html(&pages::password(&page, left)))
}

/// Whoever knew the old password is signed out everywhere else.
async fn change_password(
    mut session: Require<Sudo>,
    sessions: web::Data<Sessions>,
    accounts: web::Data<Accounts>,
    form: web::Form<PasswordForm>,
) -> Result<HttpResponse, Problem> {
    check(&session, &form.csrf)?;
    let password = form.into_inner().password;
    if password.chars().count() < 8 {
        session.set_notice(Some(String::from("Eight characters, at the least.")));
        return Ok(see("/account/password"));
    }
    accounts.change(user(&session)?, password).await?;
    sessions.revoke_others(&session).await?;
    session.set_sudo(false);
    session.set_notice(Some(String::from(
        "Your password has changed. You are signed out everywhere else.",
    )));
    Ok(see("/account"))
}

fn user(session: &Session<Visit>) -> Result<&str, Problem> {
    session.user.as_deref().ok_or(Problem::SignInFirst)
}
