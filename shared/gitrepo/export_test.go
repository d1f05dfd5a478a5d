package gitrepo

// Verdict is what becomes of the bytes of a commit, and of those of a tag.
func Verdict(keys, raw []byte) error {
	trusted, err := parseKeys(map[string][]byte{"k": keys})
	if err != nil {
		trusted = &keyring{}
	}
	message, signature, err := splitCommit(raw)
	if err == nil {
		err = trusted.verify(message, signature, committed(raw))
	}
	if err != nil {
		message, signature = splitTag(raw)
		err = trusted.verify(message, signature, 0)
	}
	return err
}
