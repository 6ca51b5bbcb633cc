package i18n

// Words is the list of sentences.
func Words() map[string]pair { return words }
