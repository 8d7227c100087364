use session::Session;

#[derive(Default, Session)]
struct Visit {
    #[session(rotates)]
    user: Option<String>,
    #[session(rename = 7)]
    cart: Vec<u64>,
}

fn handler(mut session: Session<Visit>) -> usize {
    session.set_user(None);
    session.cart_mut().push(7);
    session.cart.len()
}

fn main() {}
