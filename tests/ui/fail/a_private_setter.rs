mod visit {
    #[derive(Default, session::Session)]
    pub struct Visit {
        user: Option<String>,
    }
}

fn handler(mut session: session::Session<visit::Visit>) {
    session.set_user(None);
}

fn main() {}
