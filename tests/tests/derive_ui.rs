//! What the derive refuses, and in which words; and everything that it must take.

#[test]
fn the_derive_refuses_and_takes_what_it_should() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
