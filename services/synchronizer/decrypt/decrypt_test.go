package decrypt_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/synchronizer/decrypt"
	"github.com/slipway-cd/slipway/shared/render"
)

const secret = `# a secret
apiVersion: v1
kind: Secret
metadata:
    name: web
stringData:
    password: "hunter2-correct horse" # of the database
    pin: "0123"
    multi: |
        first line
        second line
    list: [a, b]
    port: 8080
    ratio: 1.5
    on: true
    empty: ""
`

func keys(t testing.TB, data map[string][]byte) *decrypt.Keys {
	t.Helper()
	k, err := decrypt.Read("Secret shop/sops", data, false)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w workshop) ageKeys() *decrypt.Keys {
	return keys(w.t, map[string][]byte{"a.agekey": []byte("# created: today\n" + w.age.String() + "\n")})
}

func TestEachFormatIsDecryptedAsSOPSDoes(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	regex := []string{"--age", w.age.Recipient().String(), "--encrypted-regex", "^(data|stringData)$"}
	w.put("maconly.conf", fmt.Sprintf("creation_rules:\n- age: %s\n  encrypted_regex: ^stringData$\n  mac_only_encrypted: true\n", w.age.Recipient()))
	tests := []struct {
		name, text string
		format     render.Format
		args       []string
	}{
		{"a.yaml", secret, render.YAML, nil},
		{"b.yml", secret, render.YAML, regex},
		{"c.yaml", secret + "---\n" + secret + "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n    name: plain\n", render.YAML, regex},
		{"d.yaml", secret, render.YAML, []string{"--config", "maconly.conf"}},
		{"e.json", `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"p": "hunter2", "n": 1}, "data": "x"}`, render.JSON, nil},
		{"f.env", "# a comment\nPASSWORD=hunter2\nEMPTY=\nURL=https://a?b=c\n", render.Dotenv, nil},
		{"g.ini", "[db]\npassword = hunter2\nhost     = a\n", render.INI, nil},
		{"h.pem", "-----BEGIN PRIVATE KEY-----\nabc\n\x00\xff", render.Binary, nil},
		{"config.dockerconfigjson", `{"auths": {}}`, render.Binary, nil},
		{"i", "text", render.Binary, nil},
		{"j.txt", secret, render.YAML, append(regex, "--input-type", "yaml", "--output-type", "yaml")},
	}
	for _, tt := range tests {
		encrypted := []byte(w.encrypt(tt.name, tt.text, tt.args...))
		if got := render.FormatOf(tt.name, encrypted); got != tt.format {
			t.Errorf("%s: format %q, want %q\n%s", tt.name, got, tt.format, encrypted)
		}
		if got := render.FormatOf(tt.name, []byte(tt.text)); got != "" {
			t.Errorf("%s: the plain text is taken for encrypted: %q", tt.name, got)
		}
		w.put(tt.name, string(encrypted))
		args := []string{"decrypt", tt.name}
		if strings.HasSuffix(tt.name, ".txt") {
			args = []string{"decrypt", "--input-type", "yaml", "--output-type", "yaml", tt.name}
		}
		want := w.sops(args...)
		plain, values, err := w.ageKeys().Decrypt(t.Context(), tt.format, encrypted)
		if err != nil || !bytes.Equal(plain, want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, plain, want)
		}
		if strings.Contains(tt.text, "hunter2") && !strings.Contains(strings.Join(values, "\n"), "hunter2") || len(values) == 0 {
			t.Errorf("%s: values %q", tt.name, values)
		}
	}
}

func TestEachKindOfKeyOpens(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.put("shared.conf", fmt.Sprintf("creation_rules:\n- path_regex: shared\n  shamir_threshold: 2\n  key_groups:\n  - age: [%s]\n  - age: [%s]\n  - pgp: [%s]\n", w.age.Recipient(), w.more.Recipient(), w.fingerprint()))
	byAge := map[string][]byte{"a.agekey": []byte(w.age.String())}
	byPGP := map[string][]byte{"maria.asc": w.secretKey()}
	both := map[string][]byte{"x.agekey": byAge["a.agekey"], "y.asc": byPGP["maria.asc"], "README": []byte("not a key")}
	other := map[string][]byte{"b.agekey": []byte(w.more.String())}
	tests := []struct {
		name string
		args []string
		data map[string][]byte
		want string // of the error
	}{
		{"a.yaml", []string{"--age", w.age.Recipient().String()}, byAge, ""},
		{"a.yaml", []string{"--age", w.age.Recipient().String()}, both, ""},
		{"a.yaml", []string{"--age", w.age.Recipient().String()}, other, "no key of Secret shop/sops opens it: it is encrypted for age " + w.age.Recipient().String()},
		{"a.yaml", []string{"--age", w.age.Recipient().String()}, byPGP, "it is encrypted for age"},
		{"a.yaml", []string{"--age", w.age.Recipient().String() + "," + w.more.Recipient().String()}, other, ""},
		{"b.yaml", []string{"--pgp", w.fingerprint()}, byPGP, ""},
		{"b.yaml", []string{"--pgp", w.fingerprint()}, byAge, "it is encrypted for pgp " + w.fingerprint()},
		{"b.yaml", []string{"--pgp", w.fingerprint(), "--age", w.age.Recipient().String()}, byAge, ""},
		{"shared.yaml", []string{"--config", "shared.conf"}, both, ""},
		{"shared.yaml", []string{"--config", "shared.conf"}, byPGP, "2 groups of keys are needed"},
	}
	for _, tt := range tests {
		encrypted := []byte(w.encrypt(tt.name, secret, tt.args...))
		plain, _, err := keys(t, tt.data).Decrypt(t.Context(), render.YAML, encrypted)
		switch {
		case tt.want == "" && (err != nil || !bytes.Contains(plain, []byte("hunter2"))):
			t.Errorf("%s for %q: %v\n%s", tt.name, tt.args, err, plain)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s for %q: %v, want %q", tt.name, tt.args, err, tt.want)
		}
	}
}

func TestKeyServicesAreNotAskedWithTheMachinesIdentity(t *testing.T) {
	w := newWorkshop(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("VAULT_TOKEN", "the machine's")
	text := w.encrypt("a.yaml", secret)
	for metadata, want := range map[string]string{
		"kms:\n        - arn: arn:aws:kms:eu-west-1:1:key/a\n          enc: QUJD\n          created_at: \"2026-01-01T00:00:00Z\"\n":                                                            "AWS KMS needs sops.aws-kms",
		"gcp_kms:\n        - resource_id: projects/a/locations/b/keyRings/c/cryptoKeys/d\n          enc: QUJD\n          created_at: \"2026-01-01T00:00:00Z\"\n":                               "GCP KMS needs sops.gcp-kms",
		"azure_kv:\n        - vault_url: https://a.vault.azure.net\n          name: b\n          version: c\n          enc: QUJD\n          created_at: \"2026-01-01T00:00:00Z\"\n":            "Azure Key Vault needs sops.azure-kv",
		"hc_vault:\n        - vault_address: http://127.0.0.1:1\n          engine_path: transit\n          key_name: b\n          enc: QUJD\n          created_at: \"2026-01-01T00:00:00Z\"\n": "Vault needs sops.vault-token",
	} {
		at := strings.Index(text, "age:\n")
		end := at + strings.Index(text[at:], "    lastmodified")
		changed := text[:at] + metadata + text[end:]
		_, _, err := w.ageKeys().Decrypt(t.Context(), render.YAML, []byte(changed))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q\n%s", err, want, changed)
		}
	}
}

func TestATamperedFileIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	text := w.encrypt("a.yaml", secret, "--age", w.age.Recipient().String(), "--encrypted-regex", "^stringData$")
	other := w.encrypt("a.yaml", strings.ReplaceAll(secret, "hunter2", "changed"), "--age", w.age.Recipient().String(), "--encrypted-regex", "^stringData$")
	line := func(text, key string) string {
		at := strings.Index(text, key)
		return text[at : at+strings.IndexByte(text[at:], '\n')+1]
	}
	for name, changed := range map[string]string{
		"a plain field":       strings.Replace(text, "name: web", "name: other", 1),
		"a value taken away":  strings.Replace(text, line(text, "    pin:"), "", 1),
		"a value swapped":     strings.Replace(text, line(text, "    password:"), line(other, "    password:"), 1),
		"a value in plain":    strings.Replace(text, line(text, "    pin:"), "    pin: mine\n", 1),
		"another file's MAC":  strings.Replace(text, line(text, "    mac:"), line(other, "    mac:"), 1),
		"the MAC taken away":  strings.Replace(text, line(text, "    mac:"), "", 1),
		"the MAC made empty":  strings.Replace(text, line(text, "    mac:"), "    mac: \"\"\n", 1),
		"a document appended": text + "---\n" + text,
	} {
		if render.FormatOf("a.yaml", []byte(changed)) != render.YAML {
			t.Errorf("%s: it isn't taken for encrypted", name)
		}
		plain, _, err := w.ageKeys().Decrypt(t.Context(), render.YAML, []byte(changed))
		if err == nil || plain != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v\n%s", name, err, plain)
		}
	}
}

func TestAWrongKeyIsToldWithoutIt(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	if err := w.pgp.EncryptPrivateKeys([]byte("passphrase"), nil); err != nil {
		t.Fatal(err)
	}
	locked := w.secretKey()
	for _, tt := range []struct {
		data map[string][]byte
		want string
	}{
		{map[string][]byte{}, "Secret shop/sops has none: name them *.agekey"},
		{map[string][]byte{"key": []byte(w.age.String())}, "has none"},
		{map[string][]byte{"a.agekey": []byte("AGE-SECRET-KEY-1TYPO")}, "a.agekey of Secret shop/sops holds no age identities"},
		{map[string][]byte{"a.agekey": []byte("AGE-PLUGIN-YUBIKEY-1TYPO")}, "plug-ins"},
		{map[string][]byte{"a.agekey": nil}, "holds no age identities"},
		{map[string][]byte{"a.asc": []byte("TYPO")}, "a.asc of Secret shop/sops holds no armored OpenPGP key"},
		{map[string][]byte{"a.asc": locked}, "with a passphrase: export it without"},
		{map[string][]byte{"sops.vault-token": []byte(" \n")}, "sops.vault-token of Secret shop/sops is empty"},
		{map[string][]byte{"sops.aws-kms": []byte("aws_access_key_id: TYPO\n")}, "is not YAML with aws_access_key_id and"},
		{map[string][]byte{"sops.gcp-kms": []byte(`{"type": "external_account", "x": "TYPO"}`)}, "is not the JSON key of a service account"},
		{map[string][]byte{"sops.azure-kv": []byte("tenantId: TYPO\nclientId: b\n")}, "clientSecret"},
	} {
		_, err := decrypt.Read("Secret shop/sops", tt.data, false)
		if !errors.Is(err, decrypt.ErrKey) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "TYPO") {
			t.Errorf("%q: %v", tt.data, err)
		}
	}
	if _, err := decrypt.Read("Secret shop/sops", nil, true); err != nil {
		t.Errorf("who is trusted needs no key: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	w := newWorkshop(f)
	for name, text := range map[string]string{"a.yaml": secret, "a.json": `{"a": 1}`, "a.env": "A=b\n", "a.ini": "[a]\nb = c\n", "a": "x"} {
		f.Add(name, []byte(w.encrypt(name, text)))
	}
	f.Add("a.yaml", []byte("sops: {mac: x, lastmodified: y}\n"))
	k := w.ageKeys()
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		format := render.FormatOf(name, data)
		if format == "" {
			return
		}
		if _, _, err := k.Decrypt(t.Context(), format, data); err != nil && strings.Contains(err.Error(), w.age.String()) {
			t.Error("the error tells the key")
		}
	})
}
