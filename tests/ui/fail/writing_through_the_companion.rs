use session::Session;

#[derive(Default, Session)]
struct Visit {
    views: u64,
    cart: Vec<u64>,
}

fn handler(mut session: Session<Visit>) {
    let companion: &mut VisitTracked = &mut session; companion.views = 7;
}

fn main() {}
