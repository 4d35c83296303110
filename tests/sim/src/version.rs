//! What differs between versions of Proxmox VE.

/// A version of pve-manager.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    text: String,
    numbers: [u32; 3],
}

impl Version {
    /// `9.2.11`, `8.4.1`, or with the dash of 7.x: `7.4-3`.
    pub(crate) fn new(text: &str) -> Version {
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip(text.split(['.', '-'])) {
            *number = part.parse().expect("a version such as 9.2.11");
        }
        Version { text: text.to_owned(), numbers }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn major(&self) -> u32 {
        self.numbers[0]
    }

    pub(crate) fn minor(&self) -> u32 {
        self.numbers[1]
    }

    /// `9.2`.
    pub(crate) fn release(&self) -> String {
        format!("{}.{}", self.numbers[0], self.numbers[1])
    }

    /// Hash of the build.
    pub(crate) fn repoid() -> &'static str {
        "14a22df35955d97d"
    }

    fn at_least(&self, numbers: [u32; 3]) -> bool {
        self.numbers >= numbers
    }

    /// Errors carry `message` since pve-http-server 5.2.0.
    pub(crate) fn has_message(&self) -> bool {
        self.at_least([8, 4, 0])
    }

    /// One text for every 401 since pve-manager 9.1.5.
    pub(crate) fn hides_401_reason(&self) -> bool {
        self.at_least([9, 1, 5])
    }

    /// `GET lxc/{id}/interfaces` exists since 8.1.
    pub(crate) fn has_lxc_interfaces(&self) -> bool {
        self.at_least([8, 1, 0])
    }

    /// `memhost`, pressure values, VM.GuestAgent.*, network rows instead of sdn rows.
    pub(crate) fn is_9(&self) -> bool {
        self.at_least([9, 0, 0])
    }
}
