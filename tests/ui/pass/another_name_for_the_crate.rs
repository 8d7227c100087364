//! `crate = path`: for those who re-export the library.

mod framework {
    pub mod sessions {
        pub use session::*;
    }
}

#[derive(Default, framework::sessions::Session)]
#[session(crate = crate::framework::sessions)]
struct Visit {
    user: Option<String>,
}

fn main() {
    let _ = Visit::default().user;
}
