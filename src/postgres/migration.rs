//! What brings a part of the schema to its version.

/// Declares what migrates `$schema`, awaited: its public name, and the errors that come of it.
macro_rules! migration {
    ($(#[$doc:meta])* $name:ident of $schema:expr, $error:ty, $no_way:expr, $unfit:expr) => {
        $(#[$doc])*
        #[must_use = "nothing is done before it is awaited"]
        pub struct $name {
            url: String,
            tls: Option<$crate::tls::Tls>,
        }

        impl $name {
            pub(super) fn new(url: String) -> Self {
                Self { url, tls: None }
            }

            /// Connects by TLS only, and trusts whom this says. At first: as the URL's `sslmode`
            /// says.
            pub fn tls(mut self, tls: $crate::tls::Tls) -> Self {
                self.tls = Some(tls);
                self
            }
        }

        impl std::future::IntoFuture for $name {
            type Output = Result<(), $error>;
            type IntoFuture = $crate::BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(async move {
                    let way = $crate::postgres::Way::new(&self.url, self.tls.as_ref()).await;
                    let migrated = $schema.migrate(&way.map_err($no_way)?).await;
                    migrated.map_err($unfit)
                })
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use migration;
