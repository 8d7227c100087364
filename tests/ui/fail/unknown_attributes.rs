#[derive(Default, session::Session)]
#[session(prefx = "auth", rotate)]
struct Visit {
    #[session(rotates)]
    user: Option<String>,
    #[session(prefix = "x")]
    cart: Vec<u64>,
    #[session(on_conflct = "reject")]
    balance: u64,
    #[session(skp)]
    seen: u64,
    #[session(sercet)]
    token: Option<String>,
    #[session(something_else)]
    page: String,
}

fn main() {}
