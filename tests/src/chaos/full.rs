//! A sign-in that is one too many is refused, and leaves its session as it was.

use super::ledger::{Verdict, Violation, key_of};
use super::plan::Plan;
use super::random::Random;
use super::run::Shared;
use super::wire::{Answer, Line, Sending};

/// Whom nobody else signs in as.
const OWNER: &str = "full";

/// Where sign-ins are refused: makes as many sessions as are allowed, and tries one more in several ways.
pub(super) fn check(shared: &Shared, random: &mut Random) -> Verdict {
    let Some((limit, true)) = shared.ledger().limit else {
        return Ok(());
    };
    let mut visitor = Visitor {
        shared,
        random,
        line: Line::default(),
    };
    let mut tokens = Vec::new();
    for _ in 0..limit {
        let answer = visitor.ask(None, Plan::default().login(OWNER))?;
        tokens.extend(answer.set_cookie);
    }
    let ways = [
        Plan::default().login(OWNER),
        Plan::default().login(OWNER).save(),
        Plan::default().login(OWNER).privileged("role"),
        Plan::default().set(1).save().login(OWNER),
        Plan::default().privileged("role").save().login(OWNER),
        Plan::default().set(1).login(OWNER).save(),
    ];
    for way in ways {
        let steps = format!("{:?}", way.steps);
        let mut token = visitor.ask(None, Plan::default().add())?.set_cookie;
        let key = token.as_deref().and_then(key_of);
        let answer = visitor.ask(token.clone(), way)?;
        if answer.set_cookie.is_some() {
            token = answer.set_cookie;
        }
        let after = visitor.ask(token.clone(), Plan::read())?;
        let is_as_before = after.field("arrival") == Some("Live")
            && after.field("user") == Some("")
            && after.number("views") == Some(1);
        let keys: Vec<_> = key.into_iter().collect();
        if answer.status != 409 || !is_as_before {
            let what = format!("{steps}: a refused sign-in has not left its session as it was");
            return Err(shared.ledger().violation(&what, &keys));
        }
        visitor.ask(token, Plan::default().destroy())?;
    }
    for token in tokens {
        let answer = visitor.ask(Some(token), Plan::default().destroy())?;
        if answer.field("arrival") != Some("Live") {
            let what = "a session was ended for a sign-in that was refused";
            return Err(shared.ledger().violation(what, &[]));
        }
    }
    shared
        .ledger()
        .figures
        .count("checks: refused sign-ins change nothing");
    Ok(())
}

struct Visitor<'a> {
    shared: &'a Shared,
    random: &'a mut Random,
    line: Line,
}

impl Visitor<'_> {
    fn ask(&mut self, token: Option<String>, plan: Plan) -> Result<Answer, Violation> {
        let (line, random) = (&mut self.line, &mut *self.random);
        match self.shared.exchange(None, token, plan, line, random)? {
            Sending::Answered(answer) => Ok(*answer),
            _ => Err((self.shared.ledger()).violation("no answer, though all is quiet", &[])),
        }
    }
}
