#[derive(Default, session::Session)]
#[session(companion = some::path, crate = "session")]
struct Visit {
    #[session]
    user: Option<String>,
    #[session(rename)]
    a: u64,
    #[session(rename = 7)]
    b: u64,
    #[session(rename = "")]
    c: u64,
    #[session(rename("x"))]
    d: u64,
    #[session(rotate = true)]
    e: u64,
    #[session(with = "module")]
    f: u64,
    #[session = "rotate"]
    g: u64,
}

fn main() {}
