//! One database: a file, read whole and checked whole.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, path};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::exchange::Country;

/// Largest file: the largest city databases have 150 MB.
const MOST_BYTES: u64 = 1 << 30;

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the database `{path}`", path = path.display())]
pub struct BadDatabase {
    /// Which.
    pub path: PathBuf,
    /// Why.
    source: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Format(#[from] MaxMindDbError),
    #[error("larger than 1 GiB")]
    TooLarge,
}

/// A database in memory. It is not mapped: an updater that writes into the file in place of renaming would
/// end the process.
pub(super) struct Database {
    path: PathBuf,
    /// Of its file, if it has one.
    traits: Option<Traits>,
    reader: Reader<Vec<u8>>,
}

/// What tells a file from the one before under its name.
#[derive(Debug, PartialEq, Eq)]
struct Traits {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What is known of an address, as it stands in the database.
#[derive(Debug, Default)]
pub(super) struct Place<'d> {
    pub(super) country: Option<Country>,
    pub(super) country_name: Option<&'d str>,
    pub(super) region: Option<&'d str>,
    pub(super) region_name: Option<&'d str>,
    pub(super) city: Option<&'d str>,
    pub(super) latitude: Option<Degrees>,
    pub(super) longitude: Option<Degrees>,
    pub(super) postal_code: Option<&'d str>,
    pub(super) metro_code: Option<u16>,
    pub(super) time_zone: Option<&'d str>,
}

impl Database {
    pub(super) fn read(path: &Path) -> Result<Database, BadDatabase> {
        let read = || {
            let file = File::open(path)?;
            // Of the open file: the name may be another's already.
            let traits = Traits::of(&file.metadata()?);
            let mut bytes = Vec::new();
            file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > MOST_BYTES {
                return Err(Why::TooLarge);
            }
            Ok(Database { path: path.to_owned(), traits: Some(traits), reader: reader(bytes)? })
        };
        read().map_err(|source| BadDatabase { path: path.to_owned(), source })
    }

    pub(super) fn of_bytes(bytes: Vec<u8>) -> Result<Database, BadDatabase> {
        let path = PathBuf::new();
        match reader(bytes) {
            Ok(reader) => Ok(Database { path, traits: None, reader }),
            Err(source) => Err(BadDatabase { path, source }),
        }
    }

    /// Is this what the file holds still?
    pub(super) fn is_still(&self, path: &Path) -> bool {
        let traits = || path.metadata().ok().map(|metadata| Traits::of(&metadata));
        self.path == path && self.traits.is_some() && traits() == self.traits
    }

    pub(super) fn country(&self, address: IpAddr) -> Option<Country> {
        Found(self.reader.lookup(address).ok()?).country()
    }

    pub(super) fn place(&self, address: IpAddr) -> Option<Place<'_>> {
        let found = Found(self.reader.lookup(address).ok()?);
        if !found.0.has_data() {
            return None;
        }
        // Each by itself: one of a kind that nobody expects takes nothing from the others. First as GeoIP2
        // nests them, then as flat databases have them.
        Some(Place {
            country: found.country(),
            country_name: found.text(&path!["country", "names", "en"]),
            region: found.text(&path!["subdivisions", 0, "iso_code"]),
            region_name: found
                .text(&path!["subdivisions", 0, "names", "en"])
                .or_else(|| found.text(&path!["state1"])),
            city: found.text(&path!["city", "names", "en"]).or_else(|| found.text(&path!["city"])),
            latitude: found
                .value(&path!["location", "latitude"])
                .or_else(|| found.value(&path!["latitude"])),
            longitude: found
                .value(&path!["location", "longitude"])
                .or_else(|| found.value(&path!["longitude"])),
            postal_code: found
                .text(&path!["postal", "code"])
                .or_else(|| found.text(&path!["postcode"])),
            metro_code: found.value(&path!["location", "metro_code"]),
            time_zone: found
                .text(&path!["location", "time_zone"])
                .or_else(|| found.text(&path!["timezone"])),
        })
    }
}

/// Checks the whole of it: what is damaged is found here and not by a client.
fn reader(bytes: Vec<u8>) -> Result<Reader<Vec<u8>>, Why> {
    let reader = Reader::from_source(bytes)?;
    reader.verify()?;
    Ok(reader)
}

/// What the database has under an address.
struct Found<'d>(LookupResult<'d, Vec<u8>>);

impl<'d> Found<'d> {
    fn country(&self) -> Option<Country> {
        let code = self
            .text(&path!["country", "iso_code"])
            .or_else(|| self.text(&path!["country_code"]))
            .or_else(|| self.text(&path!["registered_country", "iso_code"]));
        code?.parse().ok()
    }

    fn text(&self, path: &[PathElement<'_>]) -> Option<&'d str> {
        self.value::<&str>(path).filter(|text| !text.is_empty())
    }

    fn value<T: Deserialize<'d>>(&self, path: &[PathElement<'_>]) -> Option<T> {
        self.0.decode_path(path).ok().flatten()
    }
}

/// A latitude or a longitude: databases hold them in either precision, and each is written as it was meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Degrees {
    Short(f32),
    Long(f64),
}

impl fmt::Display for Degrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Degrees::Short(degrees) => write!(f, "{degrees}"),
            Degrees::Long(degrees) => write!(f, "{degrees}"),
        }
    }
}

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Degrees, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("degrees")
            }

            fn visit_f32<E: Error>(self, degrees: f32) -> Result<Degrees, E> {
                let is_one = degrees.is_finite() && degrees.abs() <= 180.0;
                is_one.then_some(Degrees::Short(degrees)).ok_or_else(|| E::custom("no degrees"))
            }

            fn visit_f64<E: Error>(self, degrees: f64) -> Result<Degrees, E> {
                let is_one = degrees.is_finite() && degrees.abs() <= 180.0;
                is_one.then_some(Degrees::Long(degrees)).ok_or_else(|| E::custom("no degrees"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Traits {
    fn of(metadata: &Metadata) -> Traits {
        Traits {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}
