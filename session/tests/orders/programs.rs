//! What clients and operators do, as programs that make one store call at a time.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use session::{Arrival, Request, Saved, Session, SessionError, minutes};

use crate::store::{self, Local, turn};
use crate::world::{Visit, World};

/// What a program does with the session of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Save,
    SaveEarly,
    SignIn(&'static str),
    /// By an early save, and a change after it.
    SignInEarly(&'static str),
    /// By an early save, and another change of privilege after it.
    SignInEarlyThenRole(&'static str),
    SignOut,
    Role,
    /// By an early save, and a change after it.
    SaveEarlyThenMore,
    /// Two changes of privilege by early saves, and then a failure of the handler.
    RolesThenFail,
    Renew,
    Destroy,
    SaveThenDestroy,
    DestroyAndSet,
    Clear,
    Touch,
    Reload,
    RevokeOthers,
    /// The session that this client has begun with.
    Revoke(&'static str, usize),
    RevokeAll(&'static str),
    Sweep,
}

impl Op {
    /// Whether it may take a session from its owner.
    fn is_leaver(self) -> bool {
        use Op::*;
        match self {
            SignIn(owner) | SignInEarly(owner) | SignInEarlyThenRole(owner) => owner != "ada",
            Save | SaveEarly | SaveEarlyThenMore | Role | RolesThenFail | Renew | Touch
            | Reload => false,
            _ => true,
        }
    }

    pub fn is_privileged(self) -> bool {
        use Op::*;
        matches!(
            self,
            SignIn(_)
                | SignInEarly(_)
                | SignInEarlyThenRole(_)
                | SignOut
                | Role
                | RolesThenFail
                | Renew
                | Clear
                | DestroyAndSet
        )
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Program {
    pub client: usize,
    pub op: Op,
}

thread_local! {
    /// The early save that is polled next is dropped: before its call (false), or after it (true).
    static CANCEL: Cell<Option<bool>> = const { Cell::new(None) };
    /// Whether the program that was polled last is within a save that can be dropped.
    static IS_CANCELLABLE: Cell<bool> = const { Cell::new(false) };
}

pub fn cancel_next(is_carried_out: bool) {
    CANCEL.set(Some(is_carried_out));
}

pub fn take_is_cancellable() -> bool {
    IS_CANCELLABLE.take()
}

/// A save whose waiting can be given up.
struct Cancellable<F>(Option<Pin<Box<F>>>);

impl<F: Future> Future for Cancellable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let cancelled = CANCEL.take();
        let Some(save) = &mut self.0 else {
            return Poll::Ready(None);
        };
        if cancelled == Some(false) {
            self.0 = None;
            return Poll::Ready(None);
        }
        let polled = save.as_mut().poll(context);
        if cancelled == Some(true) && polled.is_pending() {
            self.0 = None;
            return Poll::Ready(None);
        }
        if polled.is_pending() {
            IS_CANCELLABLE.set(true);
        }
        polled.map(Some)
    }
}

fn cancellable<F: Future>(save: F) -> Cancellable<F> {
    Cancellable(Some(Box::pin(save)))
}

/// A program as something to be polled.
pub fn start(world: &Rc<World>, me: usize, program: Program) -> Local {
    let world = Rc::clone(world);
    world.programs.borrow_mut()[me].op = Some(program.op);
    if program.op.is_leaver() {
        world.has_leavers.set(true);
    }
    Box::pin(async move {
        // It is sent, with the cookie that the client has now.
        turn().await;
        match program.op {
            Op::RevokeAll(owner) => revoke_all(&world, me, owner).await,
            Op::Revoke(owner, client) => revoke(&world, me, owner, client).await,
            Op::Sweep => {
                world.clock.advance(minutes(31));
                world.has_time_passed.set(true);
                let _ = world.sessions.remove_expired().await;
            }
            _ => request(&world, me, program).await,
        }
        world.programs.borrow_mut()[me].is_done = true;
    })
}

async fn revoke_all(world: &World, me: usize, owner: &str) {
    let had = world.owned(owner);
    if world.sessions.revoke_all(owner).await.is_ok() {
        for had in &had {
            world.acknowledge_revocation(had);
        }
        world.programs.borrow_mut()[me].is_ok = true;
    }
}

async fn revoke(world: &World, me: usize, owner: &str, client: usize) {
    let Some(key) = world.home[client] else {
        return;
    };
    if let Ok(is_ended) = world.sessions.revoke(owner, &key).await {
        if is_ended {
            world.acknowledge_end(key);
        }
        world.programs.borrow_mut()[me].is_ok = true;
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm for each thing that a handler may do"
)]
async fn request(world: &World, me: usize, program: Program) {
    let cookie = world.jar.borrow()[program.client].clone();
    let request = world.sessions.request(cookie.as_deref().map(str::as_bytes));
    let Ok(mut session) = request.session::<Visit>().await else {
        return;
    };
    {
        let mut programs = world.programs.borrow_mut();
        let progress = &mut programs[me];
        progress.arrival = Some(session.arrival());
        progress.key = session.key();
        progress.owner.clone_from(&session.user);
        if session.arrival() == Arrival::Live {
            progress
                .proofs
                .extend(store::loaded(me).map(|record| record.proof));
        } else if session.user.is_some() || session.plain != 0 {
            world.fail("a token that is not good reads the session");
        }
    }
    if session.arrival() == Arrival::Unknown
        && let Some((cookie, key)) = cookie
            .as_deref()
            .and_then(|pair| Some((pair, key_of(pair)?)))
    {
        world.check_unknown(cookie, &key);
    }
    let is_session_known = matches!(session.arrival(), Arrival::Live | Arrival::Late);
    let begun_with = cookie.as_deref().and_then(key_of);
    let was_owned = session.user.is_some();
    let session_was_live = session.arrival() == Arrival::Live;
    let (mut status, mut is_destroyed) = (200, false);
    match program.op {
        Op::Save => add_digit(&mut session, me),
        Op::SaveEarly => {
            add_digit(&mut session, me);
            note(world, me, cancellable(session.save()).await.as_ref());
        }
        Op::SaveEarlyThenMore => {
            add_digit(&mut session, me);
            note(world, me, cancellable(session.save()).await.as_ref());
            session.set_more(1 + me as u64);
        }
        Op::SignIn(owner) => {
            add_digit(&mut session, me);
            session.set_user(Some(owner.to_owned()));
        }
        Op::SignInEarly(owner) => {
            session.set_user(Some(owner.to_owned()));
            let _ = cancellable(session.save()).await;
            add_digit(&mut session, me);
        }
        Op::SignInEarlyThenRole(owner) => {
            session.set_user(Some(owner.to_owned()));
            let _ = cancellable(session.save()).await;
            session.set_role(1 + me as u64);
        }
        Op::SignOut => session.set_user(None),
        Op::Role => {
            add_digit(&mut session, me);
            session.set_role(1 + me as u64);
        }
        Op::RolesThenFail => {
            for role in [10, 11] {
                session.set_role(role + me as u64);
                let _ = cancellable(session.save()).await;
            }
            status = 500;
        }
        Op::Renew => session.renew(),
        Op::Destroy => {
            session.destroy();
            is_destroyed = true;
        }
        Op::SaveThenDestroy => {
            add_digit(&mut session, me);
            let _ = cancellable(session.save()).await;
            session.destroy();
            is_destroyed = true;
        }
        Op::DestroyAndSet => {
            session.destroy();
            session.set_plain(7);
            is_destroyed = true;
        }
        Op::Clear => session.clear(),
        Op::Reload => {
            if session.reload().await.is_ok() && session.user.is_some() {
                let reloaded = store::loaded(me).map(|record| record.proof);
                let programs = world.programs.borrow();
                if !reloaded.is_some_and(|proof| programs[me].proofs.contains(&proof)) {
                    world.fail("a reload reads what a change of privilege has made");
                }
            }
        }
        Op::RevokeOthers => revoke_others(world, &session).await,
        Op::Touch | Op::Revoke(..) | Op::RevokeAll(_) | Op::Sweep => {}
    }
    drop(session);
    let finish = request.commit(status).await;
    let key = opened_key(&request);
    let set_cookie = finish.headers().find(|(name, _)| *name == "set-cookie");
    world.answer(me, program.client, set_cookie.map(|(_, value)| value));
    let is_ok = finish.error.is_none() && status == 200;
    if !is_ok && finish.status() == Some(503) {
        world.is_disturbed.set(true);
        if program.op.is_privileged() {
            world.is_untold.set(true);
        }
    }
    if let Some(SessionError::TooManySessions { .. }) = finish.error
        && session_was_live
        && !world.has_lost_answers.get()
        && !world.has_leavers.get()
        && begun_with.is_some_and(|key| world.record(&key).is_none())
    {
        world.fail("a sign-in that was refused has cost the visitor the session");
    }
    if let Some(SessionError::PrivilegeChanged) = finish.error {
        match program.op {
            Op::SignIn(owner)
                if begun_with
                    .and_then(|key| world.live(&key))
                    .is_some_and(|record| record.owner.as_deref() == Some(owner)) =>
            {
                world.fail("a sign-in that was sent twice is an error");
            }
            Op::SignOut | Op::Clear if was_owned => world.fail("a sign-out is refused"),
            _ => {}
        }
    }
    // A sign-out that met another change of privilege has ended its session.
    let is_removed = set_cookie.is_some_and(|(_, value)| value.contains("=;"));
    let is_signed_out = is_removed && matches!(program.op, Op::SignOut | Op::Clear);
    if is_ok && (is_destroyed || is_signed_out) {
        world.has_left.borrow_mut().insert(program.client);
    }
    if is_ok {
        acknowledge(
            world,
            me,
            program.op,
            finish.saved,
            begun_with,
            Ended {
                is_destroyed,
                is_session_known,
                was_owned,
            },
        );
        let signs_in = match program.op {
            Op::SignIn(owner) | Op::SignInEarly(owner) | Op::SignInEarlyThenRole(owner) => {
                Some(owner)
            }
            _ => None,
        };
        let mut programs = world.programs.borrow_mut();
        programs[me].is_ok = true;
        if let Some((owner, key)) = signs_in.zip(key)
            && finish.saved == Saved::Written
        {
            programs[me].signed_in = Some((owner.to_owned(), key));
        }
    }
}

#[derive(Clone, Copy)]
struct Ended {
    is_destroyed: bool,
    is_session_known: bool,
    was_owned: bool,
}

fn acknowledge(
    world: &World,
    me: usize,
    op: Op,
    saved: Saved,
    begun_with: Option<session::SessionKey>,
    ended: Ended,
) {
    match (op, begun_with) {
        (_, Some(key)) if ended.is_destroyed && ended.is_session_known => {
            world.acknowledge_end(key);
        }
        (Op::SignOut | Op::Clear, Some(key)) if ended.was_owned => {
            let record = world.live(&key);
            if record.is_some_and(|record| record.owner.is_some()) {
                world.fail("a sign-out was acknowledged, and the session lives signed in");
            }
        }
        (Op::Save | Op::SignIn(_) | Op::Role, _) => world.acknowledge_digit(me, saved),
        _ => {}
    }
}

async fn revoke_others(world: &World, session: &Session<Visit>) {
    let own = session.key();
    let had: Vec<_> = match &session.user {
        Some(owner) => world.owned(owner),
        None => Vec::new(),
    };
    if world.sessions.revoke_others(session).await.is_ok() {
        for had in had.iter().filter(|had| Some(had.key) != own) {
            world.acknowledge_revocation(had);
        }
    }
}

fn note(world: &World, me: usize, saved: Option<&Result<Saved, SessionError>>) {
    if let Some(Ok(saved)) = saved {
        world.acknowledge_digit(me, *saved);
    }
}

fn add_digit(session: &mut Session<Visit>, me: usize) {
    *session.digits_mut() += 1 << (8 * me);
}

fn opened_key(request: &Request) -> Option<session::SessionKey> {
    request.opened_session::<Visit>()?.key()
}

fn key_of(pair: &str) -> Option<session::SessionKey> {
    let (_, value) = pair.split_once('=')?;
    Some(session::SessionToken::parse(value)?.key())
}
