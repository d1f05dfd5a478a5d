package migrate

import (
	"cmp"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// gitSource writes the repository that a reference means, and gives the path in
// it that a path of the source is.
func (f *flux) gitSource(s *source, ref value, at string, out tree) (string, bool) {
	kind, name, namespace := ref.at("kind").text(), ref.at("name").text(), cmp.Or(ref.at("namespace").text(), s.namespace)
	ref.at("apiVersion").take()
	if kind == "ExternalArtifact" {
		if kind, name, namespace, at = f.artifact(s, ref, namespace, name, at); kind == "" {
			return at, false
		}
	}
	if kind == "OCIRepository" {
		return f.builtFrom(s, ref, namespace, name, at, out)
	}
	if kind != "GitRepository" {
		ref.note(Missing, "a source of kind "+kind+" has no counterpart", "commit its manifests to a Git repository; no Application is written")
		return at, false
	}
	git := f.find(s, kind, namespace, name)
	if git == nil {
		if f.own() == "" {
			ref.note(Wrong, "GitRepository "+namespace+"/"+name+" isn't in the repository", "say which it is with --repository URL (and --branch); no Application is written")
			return at, false
		}
		if f.Repository == "" && !f.told[namespace+"/"+name] {
			f.told[namespace+"/"+name] = true
			ref.note(Different, "GitRepository "+namespace+"/"+name+" isn't in the repository", f.own()+" is taken, the clone's origin: say another with --repository URL (and --branch)")
		}
		f.ofOwn(out)
		return at, true
	}
	url := git.at("spec", "url")
	set(out, webAddress(url.text()), "source", "repository")
	gitRef(git, out)
	gitSecrets(s, git, out)
	return at, true
}

// ofOwn writes the repository that is read.
func (f *flux) ofOwn(out tree) {
	set(out, f.own(), "source", "repository")
	set(out, cmp.Or(f.Branch, "main"), "source", "branch")
}

// builtFrom finds the one folder of this repository that an artifact in a registry can
// have been built from: pipelines push what is in Git, from some folder on.
func (f *flux) builtFrom(s *source, ref value, namespace, name, at string, out tree) (string, bool) {
	var found []string
	for _, dir := range f.sets.folders {
		if at != "." && (dir == at || strings.HasSuffix(dir, "/"+at)) {
			found = append(found, dir)
		}
	}
	if len(found) != 1 || f.own() == "" {
		ref.note(Missing, "what is in OCIRepository "+namespace+"/"+name+" isn't known from here", "have it in Git, and write the Application for its folder; none is written")
		return at, false
	}
	if oci := f.find(s, "OCIRepository", namespace, name); oci != nil {
		f.used[oci] = true
		oci.at("spec", "url").take()
		oci.at("spec", "ref").take()
	}
	ref.note(Different, "its source is an artifact, OCIRepository "+namespace+"/"+name+", which is taken to be built from "+found[0]+" of this repository",
		"look at what `slipway diff` shows: what its pipeline changes on the way has to be in Git")
	f.ofOwn(out)
	return found[0], true
}

// artifact finds which folder of which source an artifact's folder is a copy of.
// An empty kind: of none.
func (f *flux) artifact(s *source, ref value, namespace, name, at string) (kind, sourceName, sourceNamespace, path string) {
	for _, g := range f.of("ArtifactGenerator") {
		if cmp.Or(g.namespace, namespace) != namespace || common(g.file, s.file) < f.closest(s, namespace) {
			continue
		}
		for _, a := range g.at("spec", "artifacts").items() {
			if a.at("name").text() != name {
				continue
			}
			a.at("originRevision").take()
			for _, c := range a.at("copy").items() {
				alias, from := copied(c.at("from").text())
				_, to := copied(c.at("to").text())
				rest, below := strings.CutPrefix(at+"/", to+"/")
				if to == "." {
					rest, below = at, true
				}
				c.at("exclude").drop(Missing, "files are left out by .slipwayignore", "write one into "+from)
				if !below {
					continue
				}
				for _, src := range g.at("spec", "sources").items() {
					if src.at("alias").text() == alias {
						return src.at("kind").text(), src.at("name").text(), cmp.Or(src.at("namespace").text(), namespace), cleanPath(from + "/" + rest)
					}
				}
			}
		}
	}
	ref.note(Missing, "no ArtifactGenerator makes "+at+" of ExternalArtifact "+namespace+"/"+name+" from a folder of a repository", "name the repository's own path; no Application is written")
	return "", "", "", at
}

// closest is how near the nearest ArtifactGenerator of a namespace is.
func (f *flux) closest(s *source, namespace string) int {
	most := 0
	for _, g := range f.of("ArtifactGenerator") {
		if cmp.Or(g.namespace, namespace) == namespace {
			most = max(most, common(g.file, s.file))
		}
	}
	return most
}

// copied is the alias and folder of such as "@repo/apps/**".
func copied(text string) (alias, folder string) {
	alias, folder, _ = strings.Cut(strings.TrimPrefix(text, "@"), "/")
	folder, _, _ = strings.Cut(folder, "*")
	return alias, cleanPath(folder)
}

// webAddress is an address with a scheme.
func webAddress(url string) string {
	if strings.Contains(url, "://") {
		return url
	}
	if user, rest, found := strings.Cut(url, ":"); found && strings.Contains(user, "@") {
		return "ssh://" + user + "/" + strings.TrimPrefix(rest, "/")
	}
	return url
}

// sameRepository says whether two addresses are of one, as hosts read them: with
// .git at the end or without, and by whatever protocol.
func sameRepository(a, b string) bool {
	x, errX := events.ParseGitRepository(a, nil)
	y, errY := events.ParseGitRepository(b, nil)
	if errX != nil || errY != nil {
		return a == b
	}
	return x == y
}

// gitRef writes what is followed.
func gitRef(git *source, out tree) {
	ref := git.at("spec", "ref")
	branch := ref.at("branch").text()
	for _, kind := range []string{"commit", "semver", "tag"} {
		if v := ref.at(kind); v.there() {
			set(out, v.text(), "source", kind)
			return
		}
	}
	if branch == "" {
		branch = "master"
		git.at("spec", "url").note(Different, "it names no branch, which is master to Flux", "write the right one, if it is another")
	}
	set(out, branch, "source", "branch")
}

// gitSecrets writes the Secrets with credentials and with public keys. To us they
// are of the application's own namespace.
func gitSecrets(s, git *source, out tree) {
	credentials, verify := git.at("spec", "secretRef"), git.at("spec", "verify")
	set(out, credentials.at("name").text(), "source", "secret")
	if keys := verify.at("secretRef", "name").text(); keys != "" {
		set(out, []any{keys}, "source", "verify", "keys")
	}
	verify.at("provider").text()
	if mode := verify.at("mode"); mode.there() && !strings.EqualFold(mode.text(), "head") {
		mode.note(Different, "the commit or the tag that names it must be signed, whichever is", "")
	}
	if git.namespace == s.namespace {
		return
	}
	for _, v := range []value{credentials, verify} {
		if v.there() {
			v.note(Missing, "a Secret of another namespace can't be named", "copy it from namespace "+git.namespace+" to "+s.namespace)
		}
	}
}
