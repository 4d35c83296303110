//! The filter, typed: it lets through whom the page's lets through.

use crossterm::event::KeyCode;

use super::{SETUP, code, press, screen};
use crate::model::select::table;
use crate::tui::update;

#[test]
fn it_reads_the_table_that_the_page_reads() {
    for case in table::cases() {
        let mut state = screen(SETUP, (80, 60), table::fleet());
        press(&mut state, "/");
        press(&mut state, &case.text);
        let shown: Vec<String> = state.rows.iter().map(|row| state.fleet.servers[row.place].id.to_string()).collect();
        match case.finds {
            Ok(want) => assert_eq!((shown, state.filter.error.as_deref()), (want, None), "{:?}", case.text),
            Err(want) => {
                let said = state.filter.error.clone().unwrap_or_default();
                assert!(said.starts_with(&want), "{:?}: {said}", case.text);
                // What stays is a text that was understood.
                update(&mut state, code(KeyCode::Enter));
                assert_eq!((state.filter.error.as_deref(), &state.filter.text), (None, &state.filter.kept.clone()));
            }
        }
    }
}
