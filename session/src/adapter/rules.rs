//! Which sessions a middleware is for, and what it does where other session middlewares are around it.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::current::{Around, Current};
use crate::SessionManager;
use crate::request::Request;
use crate::typed::SessionData;

/// Which sessions a middleware is for.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    manager: SessionManager,
    only_for: Option<TypeId>,
    has_warned: Arc<AtomicBool>,
}

/// What a middleware does with an HTTP request.
pub(crate) enum Entered {
    /// It commits this request after the handler.
    Handling(Request),
    /// A middleware of the same manager is further out and does all there is to do.
    Passing,
    /// The middlewares contradict each other: the answer is an error of 500.
    Refused,
}

impl Rules {
    pub(crate) fn new(manager: SessionManager) -> Self {
        Rules {
            manager,
            only_for: None,
            has_warned: Arc::default(),
        }
    }

    pub(crate) fn only_for<T: SessionData>(&mut self) {
        self.only_for = Some(TypeId::of::<T>());
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// Adds this middleware to those that are around the handler.
    pub(crate) fn enter<'a>(
        &self,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        current: &mut Current,
    ) -> Entered {
        let request = self.manager.request(cookie_headers);
        match current.around(&request, self.only_for) {
            Around::SameManager => return Entered::Passing,
            Around::SameCookie => {
                tracing::error!(
                    event = "two_managers",
                    "two session middlewares with different managers use a cookie of the same \
                     name: give one of them another `CookieSettings::name`"
                );
                return Entered::Refused;
            }
            Around::Hidden if !self.has_warned.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    event = "hidden_manager",
                    "a session middleware hides another one around it from the handlers inside: \
                     give one of them `only_for::<T>()` so that both can be reached"
                );
            }
            Around::Hidden | Around::Nothing => {}
        }
        current.push(request.clone(), self.only_for);
        Entered::Handling(request)
    }
}
