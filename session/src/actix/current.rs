//! The requests of the middlewares around a handler, in the extensions of actix-web's request.

use std::any::TypeId;

use crate::request::Request;
use crate::typed::SessionData;

/// The requests of all middlewares around a handler, the outermost first.
#[derive(Default)]
pub(super) struct Current(Vec<Entry>);

struct Entry {
    /// The one session type that the middleware is for; all, when `None`.
    only_for: Option<TypeId>,
    request: Request,
}

/// What a middleware finds around it.
pub(super) enum Around {
    /// Nothing that concerns it.
    Nothing,
    /// The same middleware: the outer one does all there is to do.
    SameManager,
    /// Another manager with a cookie of the same name.
    SameCookie,
    /// Another manager for the same session types, which handlers do not reach any more.
    Hidden,
}

impl Current {
    pub(super) fn around(&self, request: &Request, only_for: Option<TypeId>) -> Around {
        let same_manager =
            |entry: &Entry| entry.request.is_of_same_manager(request) && entry.only_for == only_for;
        let same_cookie = |entry: &Entry| {
            entry.request.cookie_name() == request.cookie_name()
                && !entry.request.is_of_same_manager(request)
        };
        if self.0.iter().any(same_manager) {
            Around::SameManager
        } else if self.0.iter().any(same_cookie) {
            Around::SameCookie
        } else if self.0.iter().any(|entry| entry.only_for == only_for) {
            Around::Hidden
        } else {
            Around::Nothing
        }
    }

    pub(super) fn push(&mut self, request: Request, only_for: Option<TypeId>) {
        self.0.push(Entry { only_for, request });
    }

    /// The innermost middleware has answered. The outermost one stays for those who look back.
    pub(super) fn pop(&mut self) {
        if self.0.len() > 1 {
            self.0.pop();
        }
    }

    /// The request that opens sessions of the type `T`: of the innermost middleware for just this type,
    /// or else for all.
    pub(super) fn request_for<T: SessionData>(&self) -> Option<&Request> {
        let of = |wanted| {
            let mut entries = self.0.iter().rev();
            entries.find(|entry| entry.only_for == wanted)
        };
        let entry = of(Some(TypeId::of::<T>())).or_else(|| of(None))?;
        Some(&entry.request)
    }

    /// The request of the innermost middleware for all session types, or else of the innermost one.
    pub(super) fn request(&self) -> Option<&Request> {
        let mut entries = self.0.iter().rev();
        let entry = entries.find(|entry| entry.only_for.is_none());
        Some(&entry.or(self.0.last())?.request)
    }
}
