use session::Session;

#[derive(Default, Session)]
struct Visit {
    views: u64,
    cart: Vec<u64>,
}

fn handler(mut session: Session<Visit>) {
    **session = Visit::default();
}

fn main() {}
