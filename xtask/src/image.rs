//! Container images from static binaries, without a daemon: the release images of Realm, and the writer
//! that the test cluster uses for its own. The same input gives the same bytes on every machine.

mod archive;
mod description;
mod elf;
mod layer;
mod realm;

pub use archive::write;
pub use description::{FORMAT, File, Image, NONROOT};
pub use realm::{ImageArgs, Release, run};
pub(crate) use realm::{build_release, model};
