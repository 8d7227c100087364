//! What a cookie may be told to do, and which of it contradicts itself.

use std::fmt;
use std::sync::Arc;

use super::header::MAX_PAIR_LENGTH;

/// An attribute's value that is longer is ignored by browsers (RFC 6265bis §5.6 step 6).
const MAX_ATTRIBUTE_LENGTH: usize = 1024;

/// How the session's cookie is set: checked, and free of contradictions. Clones are cheap.
///
/// The default is what OWASP, ASVS 5.0 (rows 3.3.1 to 3.3.4) and NIST SP 800-63B-4 (§5.1.1) ask
/// for: `__Host-id; Path=/; Secure; HttpOnly; SameSite=Lax`. The `__Host-` prefix has the browser
/// refuse the cookie from any other host, subdomains included; the name says nothing about what
/// makes it.
///
/// There is no `Expires`: every browser that knows `SameSite` knows `Max-Age`, which needs no right
/// clock on the client.
///
/// ```
/// use session::{CookieSettings, SameSite};
///
/// let settings = CookieSettings::builder()
///     .name("__Host-visit")
///     .same_site(SameSite::Strict)
///     .build()?;
/// assert_eq!(settings.name(), "__Host-visit");
/// # Ok::<(), session::cookie::CookieSettingsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSettings(Arc<Attributes>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attributes {
    name: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    partitioned: bool,
}

/// Which requests from other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// None at all, not even the first one after a link was followed.
    Strict,
    /// Those that navigate to the site by a safe method, links for instance.
    #[default]
    Lax,
    /// All of them. Needs `Secure`.
    None,
}

impl SameSite {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}

impl CookieSettings {
    /// Other settings than the defaults.
    pub fn builder() -> CookieSettingsBuilder {
        CookieSettingsBuilder {
            attributes: Attributes {
                name: String::from("__Host-id"),
                path: String::from("/"),
                domain: None,
                secure: true,
                http_only: true,
                same_site: SameSite::Lax,
                partitioned: false,
            },
            is_for_development: false,
        }
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The path below which it is sent.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The domain to whose hosts it is sent; only to the host that set it when `None`.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.0.domain.as_deref()
    }

    /// Whether it is sent over secure connections only.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.0.secure
    }

    /// Whether it is hidden from scripts.
    #[must_use]
    pub fn http_only(&self) -> bool {
        self.0.http_only
    }

    /// Which requests from other sites carry it.
    #[must_use]
    pub fn same_site(&self) -> SameSite {
        self.0.same_site
    }

    /// Whether it is kept apart for each top-level site that embeds this one.
    #[must_use]
    pub fn partitioned(&self) -> bool {
        self.0.partitioned
    }
}

impl Default for CookieSettings {
    fn default() -> Self {
        CookieSettings(Arc::new(CookieSettings::builder().attributes))
    }
}

impl fmt::Debug for CookieSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Settings under construction, from [`CookieSettings::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CookieSettingsBuilder {
    attributes: Attributes,
    is_for_development: bool,
}

impl CookieSettingsBuilder {
    /// The cookie's name. Default: `__Host-id`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.attributes.name = name.into();
        self
    }

    /// The path below which the cookie is sent. Default: `/`, which `__Host-` needs.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.attributes.path = path.into();
        self
    }

    /// Also sends the cookie to the subdomains of `domain`. Default: to no other host than the one
    /// that set it, which `__Host-` needs.
    ///
    /// Any of these hosts can then read the session's id, and overwrite it.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.attributes.domain = Some(domain.into());
        self
    }

    /// Whether the cookie is sent over secure connections only. Default: true.
    ///
    /// A setting, never deduced from the request: behind a proxy the request says little.
    pub fn secure(mut self, secure: bool) -> Self {
        self.attributes.secure = secure;
        self
    }

    /// Whether the cookie is hidden from scripts. Default: true.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.attributes.http_only = http_only;
        self
    }

    /// Which requests from other sites carry the cookie. Default: [`SameSite::Lax`], so that a link
    /// from elsewhere finds its visitor signed in.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.same_site = same_site;
        self
    }

    /// Whether the cookie is kept apart for each top-level site that embeds this one (CHIPS).
    /// Default: false. Needs `Secure`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.attributes.partitioned = partitioned;
        self
    }

    /// Has the cookie work over plain http, for development: drops `Secure` and what cannot be
    /// without it, that is the name's `__Host-` or `__Secure-` prefix and `Partitioned`, and turns
    /// `SameSite=None` into `Lax`. Everything else stays.
    ///
    /// Logs a warning when built. Chromium and Firefox take secure cookies from
    /// `http://localhost` and `http://127.0.0.1` without it.
    pub fn insecure_for_local_development(mut self) -> Self {
        self.is_for_development = true;
        self
    }

    /// The settings, checked.
    ///
    /// # Errors
    ///
    /// When they contradict each other, so that browsers would refuse the cookie, or would make the
    /// header say something else. The first such problem is told.
    pub fn build(mut self) -> Result<CookieSettings, CookieSettingsError> {
        if self.is_for_development {
            self.drop_what_needs_https();
            tracing::warn!(
                event = "insecure_cookie",
                "the session cookie is sent over plain http: this is for development on this \
                 machine, and for nothing else"
            );
        }
        self.attributes.check()?;
        Ok(CookieSettings(Arc::new(self.attributes)))
    }

    fn drop_what_needs_https(&mut self) {
        let attributes = &mut self.attributes;
        attributes.secure = false;
        attributes.partitioned = false;
        if attributes.same_site == SameSite::None {
            attributes.same_site = SameSite::Lax;
        }
        for prefix in [HOST_PREFIX, SECURE_PREFIX] {
            if has_prefix(&attributes.name, prefix) {
                attributes.name.drain(..prefix.len());
            }
        }
    }
}

const HOST_PREFIX: &str = "__Host-";
const SECURE_PREFIX: &str = "__Secure-";

/// Browsers compare the prefixes without regard to case (RFC 6265bis §5.4).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

impl Attributes {
    fn check(&self) -> Result<(), CookieSettingsError> {
        self.check_name()?;
        check_path(&self.path)?;
        if let Some(domain) = &self.domain {
            check_domain(domain)?;
        }
        if has_prefix(&self.name, HOST_PREFIX) {
            if !self.secure {
                return Err(CookieSettingsError::HostPrefixWithoutSecure);
            }
            if self.domain.is_some() {
                return Err(CookieSettingsError::HostPrefixWithDomain);
            }
            if self.path != "/" {
                return Err(CookieSettingsError::HostPrefixWithPath);
            }
        }
        if has_prefix(&self.name, SECURE_PREFIX) && !self.secure {
            return Err(CookieSettingsError::SecurePrefixWithoutSecure);
        }
        if self.same_site == SameSite::None && !self.secure {
            return Err(CookieSettingsError::SameSiteNoneWithoutSecure);
        }
        if self.partitioned && !self.secure {
            return Err(CookieSettingsError::PartitionedWithoutSecure);
        }
        Ok(())
    }

    /// A token (RFC 9110 §5.6.2), with room for an id beside it.
    fn check_name(&self) -> Result<(), CookieSettingsError> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Err(CookieSettingsError::Name);
        }
        if self.name.len() + crate::SessionToken::LENGTH > MAX_PAIR_LENGTH {
            return Err(CookieSettingsError::NameTooLong);
        }
        Ok(())
    }
}

fn check_path(path: &str) -> Result<(), CookieSettingsError> {
    // Visible ASCII and space; RFC 6265bis §4.1.1 excludes control characters and the semicolon.
    let is_allowed = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
    let is_good = path.starts_with('/')
        && path.len() <= MAX_ATTRIBUTE_LENGTH
        && path.bytes().all(is_allowed)
        && !path.ends_with(' ');
    if is_good {
        Ok(())
    } else {
        Err(CookieSettingsError::Path)
    }
}

fn check_domain(domain: &str) -> Result<(), CookieSettingsError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) {
        Ok(())
    } else {
        Err(CookieSettingsError::Domain)
    }
}

/// Why cookie settings cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieSettingsError {
    /// The name is empty or has characters that no cookie's name has.
    #[error("the cookie's name is not a token: use letters, digits and `-_.`")]
    Name,
    /// The name leaves no room for an id.
    #[error("the cookie's name is too long: browsers ignore cookies of more than 4096 bytes")]
    NameTooLong,
    /// The path is not one.
    #[error(
        "the cookie's path must begin with `/`, have at most 1024 visible ASCII characters, and no `;`"
    )]
    Path,
    /// The domain is not one.
    #[error("the cookie's domain must be a host name such as `example.org`, without a leading dot")]
    Domain,
    /// `__Host-` without `Secure`.
    #[error("a `__Host-` cookie must be `Secure`: browsers refuse it otherwise")]
    HostPrefixWithoutSecure,
    /// `__Host-` with a domain.
    #[error(
        "a `__Host-` cookie has no domain: leave it out, or begin the name with `__Secure-` instead"
    )]
    HostPrefixWithDomain,
    /// `__Host-` with another path than `/`.
    #[error(
        "a `__Host-` cookie has the path `/`: leave it out, or begin the name with `__Secure-` instead"
    )]
    HostPrefixWithPath,
    /// `__Secure-` without `Secure`.
    #[error("a `__Secure-` cookie must be `Secure`: browsers refuse it otherwise")]
    SecurePrefixWithoutSecure,
    /// `SameSite=None` without `Secure`.
    #[error("`SameSite=None` needs `Secure`: browsers refuse the cookie otherwise")]
    SameSiteNoneWithoutSecure,
    /// `Partitioned` without `Secure`.
    #[error("`Partitioned` needs `Secure`: browsers refuse the cookie otherwise")]
    PartitionedWithoutSecure,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What browsers would refuse does not build; prefixes count in any case.
    #[test]
    fn impossible_combinations_do_not_build() {
        use CookieSettingsError as E;
        let b = CookieSettings::builder;
        let none = SameSite::None;
        let table: Vec<(CookieSettingsBuilder, Result<(), E>)> = vec![
            (b(), Ok(())),
            (b().domain("example.org"), Err(E::HostPrefixWithDomain)),
            (b().path("/shop"), Err(E::HostPrefixWithPath)),
            (b().path("/").secure(false), Err(E::HostPrefixWithoutSecure)),
            (
                b().name("__hOsT-id").domain("example.org"),
                Err(E::HostPrefixWithDomain),
            ),
            (
                b().name("__hOsT-id").path("/shop"),
                Err(E::HostPrefixWithPath),
            ),
            (
                b().name("__HOST-id").secure(false),
                Err(E::HostPrefixWithoutSecure),
            ),
            (b().name("__host-id"), Ok(())),
            (b().name("__Secure-id"), Ok(())),
            (
                b().name("__Secure-id").domain("example.org").path("/shop"),
                Ok(()),
            ),
            (
                b().name("__Secure-id").secure(false),
                Err(E::SecurePrefixWithoutSecure),
            ),
            (
                b().name("__sEcUrE-id").secure(false),
                Err(E::SecurePrefixWithoutSecure),
            ),
            (b().name("__Host").secure(false).path("/x"), Ok(())),
            (
                b().name("id")
                    .domain("example.org")
                    .path("/shop")
                    .secure(false),
                Ok(()),
            ),
            (b().same_site(none), Ok(())),
            (
                b().name("id").same_site(none).secure(false),
                Err(E::SameSiteNoneWithoutSecure),
            ),
            (b().partitioned(true), Ok(())),
            (
                b().name("id").partitioned(true).secure(false),
                Err(E::PartitionedWithoutSecure),
            ),
            (b().name(""), Err(E::Name)),
            (b().name("a b"), Err(E::Name)),
            (b().name("a;b"), Err(E::Name)),
            (b().name("a=b"), Err(E::Name)),
            (b().name("a\r\nSet-Cookie: b"), Err(E::Name)),
            (b().name("é"), Err(E::Name)),
            (b().name("n".repeat(4053)), Ok(())),
            (b().name("n".repeat(4054)), Err(E::NameTooLong)),
            (b().name("id").path("shop"), Err(E::Path)),
            (b().name("id").path(""), Err(E::Path)),
            (b().name("id").path("/a; Domain=evil.example"), Err(E::Path)),
            (b().name("id").path("/a\nb"), Err(E::Path)),
            (
                b().name("id").path(format!("/{}", "a".repeat(1024))),
                Err(E::Path),
            ),
            (b().name("id").domain(".example.org"), Err(E::Domain)),
            (b().name("id").domain(""), Err(E::Domain)),
            (b().name("id").domain("example.org; Path=/"), Err(E::Domain)),
            (b().name("id").domain("-a.example"), Err(E::Domain)),
            (b().name("id").domain("a..example"), Err(E::Domain)),
        ];
        for (builder, expected) in table {
            let text = format!("{builder:?}");
            assert_eq!(builder.build().map(drop), expected, "{text}");
        }
    }

    /// The settings for development drop what needs https and nothing else.
    #[test]
    fn development_drops_only_what_needs_https() {
        let settings = CookieSettings::builder()
            .insecure_for_local_development()
            .same_site(SameSite::Strict)
            .build()
            .unwrap();
        assert_eq!(settings.name(), "id");
        assert!(!settings.secure());
        assert!(settings.http_only());
        assert_eq!(settings.same_site(), SameSite::Strict);
        assert_eq!(settings.path(), "/");
        let all = CookieSettings::builder()
            .name("__sEcUrE-visit")
            .domain("example.org")
            .same_site(SameSite::None)
            .partitioned(true)
            .insecure_for_local_development()
            .build()
            .unwrap();
        assert_eq!(all.name(), "visit");
        assert_eq!(all.same_site(), SameSite::Lax);
        assert!(!all.partitioned());
        assert_eq!(all.domain(), Some("example.org"));
    }

    proptest! {
        /// Whatever builds gives a header that matches RFC 6265bis §4.1.1.
        #[test]
        fn whatever_builds_gives_a_good_header(
            name in "\\PC{0,8}|(__Host-|__Secure-)?[!-~]{0,8}",
            path in proptest::option::of("/?\\PC{0,8}|/[ -~\t]{0,8}"),
            domain in proptest::option::of("[a-z.-]{0,12}|\\PC{0,6}"),
            secure: bool,
            http_only: bool,
            partitioned: bool,
            same_site in prop_oneof![
                Just(SameSite::Strict), Just(SameSite::Lax), Just(SameSite::None)
            ],
            max_age in proptest::option::of(any::<std::time::Duration>()),
        ) {
            let mut builder = CookieSettings::builder()
                .name(name)
                .secure(secure)
                .http_only(http_only)
                .partitioned(partitioned)
                .same_site(same_site);
            if let Some(path) = path {
                builder = builder.path(path);
            }
            if let Some(domain) = domain {
                builder = builder.domain(domain);
            }
            if let Ok(settings) = builder.build() {
                for header in [settings.set_cookie("value", max_age).unwrap(), settings.removal()] {
                    let mut parts = header.split("; ");
                    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
                    prop_assert_eq!(name, settings.name());
                    prop_assert!(!name.contains(['(', ')', '<', '>', '@', ',', ';', ':', '\\', '"']));
                    prop_assert!(matches!(value, "value" | ""));
                    for part in parts {
                        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
                        let known = ["Path", "Domain", "Secure", "HttpOnly", "SameSite",
                            "Partitioned", "Max-Age"];
                        prop_assert!(known.contains(&attribute), "{}", attribute);
                        prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';'));
                        if attribute == "Max-Age" {
                            prop_assert!(value.parse::<u64>().unwrap() <= 400 * 24 * 60 * 60);
                        }
                    }
                }
            }
        }
    }
}
