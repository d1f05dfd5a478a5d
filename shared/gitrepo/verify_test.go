package gitrepo_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// signing is a clone in which git signs by SSH or OpenPGP.
type signing struct {
	*gitrepotest.Work
	allowed string // git's own file of allowed signers
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	s := &signing{gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"}), filepath.Join(t.TempDir(), "allowed")}
	s.Git("config", "gpg.ssh.allowedSignersFile", s.allowed)
	return s
}

func (s *signing) bySSH(t *testing.T, key string, allowed ...string) {
	t.Helper()
	s.Git("config", "gpg.format", "ssh")
	s.Git("config", "user.signingKey", key)
	if err := os.WriteFile(s.allowed, []byte(strings.Join(allowed, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// commit signs a commit, perhaps, and gives its id.
func (s *signing) commit(args ...string) string {
	s.Git(append([]string{"commit", "-q", "--allow-empty", "-m", "web: 1.4.2\n\nWith ümläuts.\n\n-----BEGIN PGP SIGNATURE-----\n\nnot one\n"}, args...)...)
	return s.Git("rev-parse", "HEAD")
}

// fetched pushes a commit and fetches it as a mirror does.
func (s *signing) fetched(t *testing.T, id string) *gitrepo.Commit {
	t.Helper()
	s.Git("push", "-q", "-f", "origin", id+":refs/heads/main")
	return fetch(t, open(t, s.URL))
}

// both holds our verdict to git's.
func (s *signing) both(t *testing.T, id string, keys map[string][]byte, want string) {
	t.Helper()
	err := s.fetched(t, id).VerifiedBy(keys)
	cmd := exec.Command("git", "-C", s.Dir, "verify-commit", id)
	out, gitErr := cmd.CombinedOutput()
	if (err == nil) != (gitErr == nil) {
		t.Fatalf("we say %v, git says %v: %s", err, gitErr, out)
	}
	if want == "" && err != nil || want != "" && (!errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

// changed is a commit with other bytes and the same signature.
func (s *signing) changed(t *testing.T, id, old, now string) string {
	t.Helper()
	raw := s.Git("cat-file", "commit", id) + "\n"
	if !strings.Contains(raw, old) {
		t.Fatalf("no %q in\n%s", old, raw)
	}
	return strings.TrimSpace(run(t, strings.Replace(raw, old, now, 1), "git", "-C", s.Dir, "hash-object", "-t", "commit", "-w", "--stdin"))
}

func TestWhatGitVerifiesBySSHWeDo(t *testing.T) {
	for name, kind := range map[string][]string{"ed25519": {"ed25519"}, "ecdsa": {"ecdsa", "-b", "384"}, "rsa": {"rsa", "-b", "2048"}} {
		t.Run(name, func(t *testing.T) {
			key, other := sshKey(t, "", kind...), sshKey(t, "", "ed25519")
			public := strings.TrimSpace(string(read(t, key+".pub")))
			mine := map[string][]byte{"Secret keys: a.pub": []byte(public)}
			s := newSigning(t)
			s.bySSH(t, key, "maria@example.com "+public)
			id := s.commit("-S")
			s.both(t, id, mine, "")
			s.both(t, s.changed(t, id, "1.4.2", "1.4.3"), mine, "somebody has changed it")
			s.both(t, s.commit(), mine, "it has no signature")
			s.bySSH(t, key, "omar@example.com "+string(read(t, other+".pub")))
			s.both(t, id, map[string][]byte{"k": read(t, other+".pub")}, "which is none of those given")
		})
	}
}

func TestLinesOfAllowedSignersMeanWhatTheyMeanToGit(t *testing.T) {
	key := sshKey(t, "", "ed25519")
	public := strings.TrimSpace(string(read(t, key+".pub")))
	s := newSigning(t)
	s.bySSH(t, key)
	id := s.commit("-S", "--date", "2026-01-15T00:00:00Z")
	for line, want := range map[string]string{
		`maria@example.com namespaces="git" %s`:                                     "",
		`maria@example.com namespaces="file,g?t" %s`:                                "",
		`maria@example.com namespaces="*,!git" %s`:                                  "no public keys",
		`maria@example.com namespaces="file" %s`:                                    "no public keys",
		`maria@example.com valid-after="20200101Z" %s`:                              "",
		`maria@example.com valid-before="20200101Z" %s`:                             "not valid when it says it was made",
		`maria@example.com valid-after="20990101" %s`:                               "not valid when it says it was made",
		"# a comment\n\nmaria@example.com,omar@example.com %s\n":                    "",
		`maria@example.com namespaces="git",valid-before="209912312359Z" %s and me`: "",
	} {
		line = fmt.Sprintf(line, public)
		s.bySSH(t, key, line)
		err := s.fetched(t, id).VerifiedBy(map[string][]byte{"k": []byte(line)})
		gitErr := exec.Command("git", "-C", s.Dir, "verify-commit", id).Run()
		if (err == nil) != (gitErr == nil) || want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: we say %v, want %q, git says %v", line, err, want, gitErr)
		}
	}
	for text, want := range map[string]string{
		"no-pty,expiry-time=\"20990101\" " + public: "",
		public + "\n":                            "",
		"*@example.com cert-authority " + public: "authorities of certificates are not supported",
		"x y z " + public:                        "no SSH public key",
		"ssh-ed25519 nonsense":                   "line 1: it has no SSH public key",
		"":                                       "neither an OpenPGP nor an SSH key",
		string(read(t, key)):                     "it is a private key",
		"maria@example.com valid-after=\"soon\" " + public:  "is not a time",
		"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nnothing\n": "no OpenPGP key in it can be read",
	} {
		err := s.fetched(t, id).VerifiedBy(map[string][]byte{"Secret keys: a": []byte(text)})
		if want == "" && err != nil || want != "" && (!errors.Is(err, gitrepo.ErrKeys) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Secret keys: a")) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestWhatGitVerifiesByOpenPGPWeDo(t *testing.T) {
	for name, algorithm := range map[string]string{"ed25519": "ed25519", "rsa": "rsa3072", "ecdsa": "nistp256", "subkey": "ed25519"} {
		t.Run(name, func(t *testing.T) {
			gpg := pgpHome(t)
			gpg("", "--passphrase", "", "--quick-generate-key", "Maria <maria@example.com>", algorithm, "cert,sign", "never")
			if name == "subkey" {
				fingerprint, _, _ := strings.Cut(strings.Split(gpg("", "--with-colons", "--list-keys"), "fpr:::::::::")[1], ":")
				gpg("", "--passphrase", "", "--quick-add-key", fingerprint, algorithm, "sign", "never")
			}
			s := newSigning(t)
			s.Git("config", "gpg.format", "openpgp")
			mine := map[string][]byte{"k": []byte(gpg("", "--armor", "--export", "maria@example.com"))}
			id := s.commit("-Smaria@example.com")
			s.both(t, id, mine, "")
			s.both(t, s.changed(t, id, "1.4.2", "1.4.3"), mine, "OpenPGP signature is bad")
			s.both(t, s.commit(), mine, "it has no signature")
			// A commit with headers that go-git doesn't know is signed as it is.
			s.Git("config", "i18n.commitEncoding", "ISO-8859-1")
			s.both(t, s.commit("-Smaria@example.com"), mine, "")
			s.Git("tag", "-u", "maria@example.com", "-m", "x", "side", s.commit("-Smaria@example.com"))
			s.Git("reset", "-q", "--hard", "HEAD~1")
			s.Git("merge", "-q", "--no-ff", "-Smaria@example.com", "-m", "merge", "side")
			merge := s.Git("rev-parse", "HEAD")
			if !strings.Contains(s.Git("cat-file", "commit", merge), "mergetag") {
				t.Fatal("the merge has no mergetag: the test shows nothing")
			}
			s.both(t, merge, mine, "")
			// Another's key is not among ours, though git has it in its ring.
			gpg("", "--passphrase", "", "--quick-generate-key", "Omar <omar@example.com>", "ed25519", "sign", "never")
			if err := s.fetched(t, s.commit("-Somar@example.com")).VerifiedBy(mine); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "none of those given") {
				t.Errorf("another's: %v", err)
			}
			both := append(append([]byte{}, mine["k"]...), gpg("", "--armor", "--export", "omar@example.com")...)
			s.both(t, s.Git("rev-parse", "HEAD"), map[string][]byte{"k": both}, "")
		})
	}
}

func TestAKeyThatIsOverOrRevokedSignsNothing(t *testing.T) {
	gpg := pgpHome(t)
	gpg("", "--passphrase", "", "--quick-generate-key", "Maria <maria@example.com>", "ed25519", "sign", "never")
	s := newSigning(t)
	s.Git("config", "gpg.format", "openpgp")
	id := s.commit("-Smaria@example.com")
	export := func() map[string][]byte { return map[string][]byte{"k": []byte(gpg("", "--armor", "--export"))} }
	s.both(t, id, export(), "")
	fingerprint, _, _ := strings.Cut(strings.Split(gpg("", "--with-colons", "--list-keys"), "fpr:::::::::")[1], ":")
	gpg("", "--passphrase", "", "--quick-set-expire", fingerprint, "seconds=1")
	for !strings.Contains(gpg("", "--with-colons", "--list-keys"), "pub:e:") { // until gpg, too, says that it is over
	}
	s.both(t, id, export(), "has expired")
	gpg("", "--passphrase", "", "--quick-set-expire", fingerprint, "never")
	s.both(t, id, export(), "")
	revocation := strings.Replace(string(read(t, filepath.Join(os.Getenv("GNUPGHOME"), "openpgp-revocs.d", fingerprint+".rev"))), ":-----BEGIN", "-----BEGIN", 1)
	gpg(revocation, "--import")
	s.both(t, id, export(), "is revoked")
}

func TestATagIsVerifiedInPlaceOfItsCommit(t *testing.T) {
	key, other := sshKey(t, "", "ed25519"), sshKey(t, "", "ed25519")
	public := strings.TrimSpace(string(read(t, key+".pub")))
	mine := map[string][]byte{"k": []byte(public)}
	s := newSigning(t)
	s.bySSH(t, key, "maria@example.com "+public)
	plain := s.commit()
	verdict := func(tag, target string) error {
		t.Helper()
		s.Git("push", "-q", "-f", "origin", target+":refs/tags/"+tag)
		return fetch(t, openWith(t, gitrepo.Options{URL: s.URL, Tag: tag, Dir: t.TempDir()})).VerifiedBy(mine)
	}
	s.Git("tag", "-s", "-m", "release", "v1.0.0", plain)
	if err := verdict("v1.0.0", "v1.0.0"); err != nil {
		t.Errorf("a signed tag: %v", err)
	}
	s.Git("tag", "-v", "v1.0.0")
	if err := verdict("v2.0.0", "v1.0.0"); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), `made as "v1.0.0"`) {
		t.Errorf("a signed tag under another name: %v", err)
	}
	s.Git("tag", "-s", "-m", "a tag of a tag", "v1.2.0", "v1.0.0")
	if err := verdict("v1.2.0", "v1.2.0"); !errors.Is(err, gitrepo.ErrUntrusted) {
		t.Errorf("a tag of a tag: %v", err)
	}
	s.Git("tag", "-a", "-m", "release", "v1.1.0", plain)
	if err := verdict("v1.1.0", "v1.1.0"); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "tag v1.1.0: it has no signature; commit") {
		t.Errorf("a tag without a signature: %v", err)
	}
	if err := verdict("v1.3.0", plain); !errors.Is(err, gitrepo.ErrUntrusted) {
		t.Errorf("a tag without anything: %v", err)
	}
	signed := s.commit("-S")
	if err := verdict("v1.4.0", signed); err != nil {
		t.Errorf("a tag of a signed commit: %v", err)
	}
	s.bySSH(t, other)
	s.Git("tag", "-s", "-m", "release", "v1.5.0", plain)
	if err := verdict("v1.5.0", "v1.5.0"); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "none of those given") {
		t.Errorf("another's tag: %v", err)
	}
	raw := strings.Replace(s.Git("cat-file", "tag", "v1.0.0")+"\n", "release", "changed", 1)
	forged := strings.TrimSpace(run(t, raw, "git", "-C", s.Dir, "hash-object", "-t", "tag", "-w", "--stdin"))
	if err := verdict("v1.0.0", forged); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "somebody has changed it") {
		t.Errorf("a changed tag: %v", err)
	}
}

// A signature made for a file, and one over SHA-1, are not for a commit; nor is
// one of two.
func TestASignatureOfSomethingElseIsNone(t *testing.T) {
	key := sshKey(t, "", "ed25519")
	mine := map[string][]byte{"k": read(t, key+".pub")}
	s := newSigning(t)
	s.bySSH(t, key)
	plain := s.commit()
	raw := s.Git("cat-file", "commit", plain) + "\n"
	sign := func(namespace string) string {
		return run(t, raw, "ssh-keygen", "-Y", "sign", "-n", namespace, "-f", key)
	}
	with := func(signatures ...string) *gitrepo.Commit {
		header, message, _ := strings.Cut(raw, "\n\n")
		for _, sig := range signatures {
			header += "\ngpgsig " + strings.ReplaceAll(strings.TrimSpace(sig), "\n", "\n ")
		}
		id := strings.TrimSpace(run(t, header+"\n\n"+message, "git", "-C", s.Dir, "hash-object", "-t", "commit", "-w", "--stdin"))
		return s.fetched(t, id)
	}
	if err := with(sign("git")).VerifiedBy(mine); err != nil {
		t.Fatalf("the test's own way to sign: %v", err)
	}
	if err := with(sign("file")).VerifiedBy(mine); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), `namespace "file"`) {
		t.Errorf("of a file: %v", err)
	}
	if err := with(sign("git"), sign("git")).VerifiedBy(mine); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "several signatures") {
		t.Errorf("two: %v", err)
	}
	if err := with("-----BEGIN SIGNED MESSAGE-----\nMII\n-----END SIGNED MESSAGE-----").VerifiedBy(mine); !errors.Is(err, gitrepo.ErrUntrusted) || !strings.Contains(err.Error(), "X.509") {
		t.Errorf("X.509: %v", err)
	}
}

func FuzzKeysAndSignatures(f *testing.F) {
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB3Y2Yw9 x"), []byte("tree a\ngpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lH\n -----END SSH SIGNATURE-----\n\nx\n"))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----\n"), []byte("tree a\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iHUE\n -----END PGP SIGNATURE-----\n\nx\n"))
	f.Add([]byte("a namespaces=\"g*\",valid-after=\"20260101\" ssh-ed25519 AAAA"), []byte("object a\n\n-----BEGIN PGP SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, keys, raw []byte) {
		if err := gitrepo.Verdict(keys, raw); err == nil {
			t.Fatal("nobody signed this")
		}
	})
}
