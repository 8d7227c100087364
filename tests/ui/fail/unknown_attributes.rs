#[derive(Default, session::Session)]
#[session(prefx = "auth", rotate)]
struct Visit {
    #[session(rotates)]
    user: Option<String>,
    #[session(prefix = "x")]
    cart: Vec<u64>,
}

fn main() {}
