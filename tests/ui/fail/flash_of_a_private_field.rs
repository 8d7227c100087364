mod visit {
    #[derive(Default, session::Session)]
    pub struct Visit {
        #[session(flash)]
        notice: Option<String>,
        #[session(ttl = "10m")]
        sudo: bool,
    }
}

fn handler(mut session: session::Session<visit::Visit>) {
    session.take_notice();
    session.expires_in_sudo();
}

fn main() {
    let _ = handler;
}
