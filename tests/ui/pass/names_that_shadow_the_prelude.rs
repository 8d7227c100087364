//! Names of the user's own that hide the prelude's.
#![allow(dead_code, non_camel_case_types)]

mod shadow {
    pub struct Option;
    pub struct Result;
    pub struct String;
    pub struct Vec;
    pub struct Some;
    pub struct None;
    pub struct Ok;
    pub struct Err;
    pub struct Box;
    pub struct u64;
    pub struct usize;
    pub struct bool;
    pub struct str;
    pub trait Default {}
    pub trait Clone {}
    pub trait Deref {}
    pub trait Debug {}
    pub trait From {}
    pub trait Into {}
    pub trait Iterator {}
    pub mod core {}
    pub mod std {}
    pub mod session {}
    pub mod serde {}
    pub fn drop() {}
}

mod app {
    #[allow(unused_imports)]
    use super::shadow::*;

    #[derive(::core::default::Default, ::session::Session)]
    pub struct Visit {
        #[session(rotate, secret)]
        pub user: ::core::option::Option<::std::string::String>,
        #[session(default, alias = "c")]
        pub count: ::core::primitive::u64,
        #[session(skip)]
        pub skipped: ::core::primitive::u64,
    }
}

fn main() {
    let _ = app::Visit::default();
}
