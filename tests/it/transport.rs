//! The exchange against real servers on loopback: what is seen, and what each thing that can go wrong is called.

mod credentials;
mod heard;
mod hostile;
mod mutual;
mod proxied;
mod redirects;
mod seen;
mod table;
mod throttled_token;
