//! Looking in from outside: health, metrics, the API.
