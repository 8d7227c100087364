use session::Session;

#[derive(Default, Session)]
struct Visit {
    views: u64,
    cart: Vec<u64>,
}

fn handler(mut session: Session<Visit>) {
    let views = &mut session.views; *views += 1;
}

fn main() {}
