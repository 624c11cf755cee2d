//! The live console, server-rendered.
