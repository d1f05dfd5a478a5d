package service

import "net/url"

// Sigstore says which certificate authorities, logs and time stamps are
// believed. Left out it is the public Sigstore, whose trusted root is fetched by
// TUF and kept.
type Sigstore struct {
	// Roots is the file of a trusted root (JSON), where no TUF repository shall be
	// asked. It is read at each use.
	Roots string `yaml:"roots"`
	// TUF is the address of another Sigstore's TUF repository; default
	// https://tuf-repo-cdn.sigstore.dev.
	TUF string `yaml:"tuf"`
	// Root is the file of the root.json by which that repository is believed at
	// first.
	Root string `yaml:"root"`
}

func (s Sigstore) validate(f *faults) {
	if s.Roots != "" && (s.TUF != "" || s.Root != "") {
		f.add("sigstore", "give either roots, or tuf and root")
	}
	if (s.TUF == "") != (s.Root == "") {
		f.add("sigstore", "give tuf and root together: the root.json is that repository's own")
	}
	if s.TUF == "" {
		return
	}
	if u, err := url.Parse(s.TUF); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		f.add("sigstore.tuf", "it is no plain http or https address")
	}
}
