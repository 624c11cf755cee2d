//! The developer portal's pages.
