//! Making it happen: [`ingest`] verifies, decides and journals what comes in; [`deliver`] claims what is owed, renders
//! it, has [`send`] (and for mail, `smtp`) make an attempt, and settles it. Both meet in the journal and nowhere else.

pub mod deliver;
pub mod ingest;
pub mod send;
mod show;
mod smtp;
