#[derive(Default, session::Session)]
struct Visit {
    #[session(flash)]
    notice: u64,
    #[session(index)]
    user: String,
}

#[derive(Default, session::Session)]
struct Other {
    #[session(index)]
    user: Option<Vec<u8>>,
}

fn main() {}
