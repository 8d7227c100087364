#[derive(Default, session::Session)]
#[session(on_conflict = "later-wins")]
struct Visit {
    #[session(index)]
    user: Option<String>,
    #[session(on_conflict = "later-wins")]
    page: String,
}

fn main() {}
