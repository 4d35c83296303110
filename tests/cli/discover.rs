//! `ecobox discover` against simulated clusters.
