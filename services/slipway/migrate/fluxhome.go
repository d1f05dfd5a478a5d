package migrate

import "cmp"

// findHome gives the address of the repository that is read, as its GitRepositories have
// it: that of --repository or of the clone, else, as of a fork, that of which the most
// Kustomizations have a path that is there. Empty where none has one.
func (f *flux) findHome() string {
	votes, first := map[string]int{}, []string{}
	for _, g := range f.of("GitRepository") {
		address := addressOf(g)
		if f.own() != "" && sameRepository(address, f.own()) {
			return address
		}
		first = append(first, address)
	}
	for _, s := range f.of("Kustomization") {
		at := cleanPath(s.at("spec", "path").peek())
		if git := f.gitOf(s); git != nil && at != "." && exists(f.FS, at) {
			votes[addressOf(git)]++
		}
	}
	home := ""
	for _, address := range first {
		if votes[address] > votes[home] {
			home = address
		}
	}
	return home
}

// gitOf is the GitRepository of a Kustomization; nil where it is of another kind, or
// isn't in the repository.
func (f *flux) gitOf(s *source) *source {
	ref := s.at("spec", "sourceRef")
	if ref.at("kind").peek() != "GitRepository" {
		return nil
	}
	return f.find(s, "GitRepository", cmp.Or(ref.at("namespace").peek(), s.namespace), ref.at("name").peek())
}

// addressOf is where a GitRepository is.
func addressOf(git *source) string { return webAddress(git.at("spec", "url").peek()) }

// isHome says whether an address is of the repository that is read; it is taken to be
// where nobody says which that is.
func (f *flux) isHome(address string) bool {
	if f.own() == "" && f.home == "" {
		return true
	}
	return sameRepository(address, f.own()) || sameRepository(address, f.home)
}

// atHome says whether a Kustomization's path is one of the repository that is read. All
// of an artifact isn't: what that is built from may lie deeper.
func (f *flux) atHome(s *source, at string) bool {
	if git := f.gitOf(s); git != nil {
		return f.isHome(addressOf(git))
	}
	return at != "." || s.at("spec", "sourceRef", "kind").peek() == "GitRepository"
}
