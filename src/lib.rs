#![doc = include_str!("../README.md")]

pub mod lock;
pub mod ring;
