//! The exchange against real servers on loopback: what is seen, and what each thing that can go wrong is called.

mod client_keys;
mod compressed;
mod credentials;
mod digest;
mod families;
mod files;
mod heard;
mod hostile;
mod kept;
mod mutual;
mod proxied;
mod redirects;
mod seen;
mod table;
mod throttled_token;
