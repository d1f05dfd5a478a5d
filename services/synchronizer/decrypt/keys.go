package decrypt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"sigs.k8s.io/yaml"
)

// Keys are what files may be decrypted with.
type Keys struct {
	from    string
	trusted bool
	age     []age.Identity
	pgp     openpgp.EntityList
	vault   string
	aws     *awsKey
	gcp     []byte
	azure   *azureKey
}

type awsKey struct {
	ID      string `json:"aws_access_key_id"`
	Secret  string `json:"aws_secret_access_key"`
	Session string `json:"aws_session_token"`
}

type azureKey struct {
	Tenant              string `json:"tenantId"`
	Client              string `json:"clientId"`
	Secret              string `json:"clientSecret"`
	Certificate         string `json:"clientCertificate"`
	CertificatePassword string `json:"clientCertificatePassword"`
	Authority           string `json:"authorityHost"`
}

// The keys of a Secret by their names, as Flux has them.
const (
	ageSuffix = ".agekey"
	pgpSuffix = ".asc"
	vaultName = "sops.vault-token"
	awsName   = "sops.aws-kms"
	gcpName   = "sops.gcp-kms"
	azureName = "sops.azure-kv"
)

// ErrKey says that a key can't be read.
var ErrKey = errors.New("invalid decryption key")

// Read takes the keys of a Secret's data; from is what to call it in errors,
// such as "Secret shop/sops-age". Who is trusted may also use the identity
// that this process has in a cloud. Errors tell no key.
func Read(from string, data map[string][]byte, trusted bool) (*Keys, error) {
	k := &Keys{from: from, trusted: trusted}
	var faults []error
	known := 0
	for _, name := range slices.Sorted(maps.Keys(data)) {
		is, err := k.read(name, data[name])
		if is {
			known++
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: %s of %s %w", ErrKey, name, from, err))
		}
	}
	if known == 0 && !trusted {
		faults = append(faults, fmt.Errorf("%w: %s has none: name them *%s (age), *%s (OpenPGP), %s, %s, %s or %s",
			ErrKey, from, ageSuffix, pgpSuffix, vaultName, awsName, gcpName, azureName))
	}
	return k, errors.Join(faults...)
}

// ReadAge takes files of age identities, by their names; from is what to call
// all of them.
func ReadAge(from string, files map[string][]byte) (*Keys, error) {
	k := &Keys{from: from}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := k.readAge(files[name]); err != nil {
			faults = append(faults, fmt.Errorf("%w: %s %w", ErrKey, name, err))
		}
	}
	return k, errors.Join(faults...)
}

// read takes one key, if the name is that of one.
func (k *Keys) read(name string, data []byte) (is bool, err error) {
	switch {
	case path.Ext(name) == ageSuffix:
		return true, k.readAge(data)
	case path.Ext(name) == pgpSuffix:
		return true, k.readPGP(data)
	case name == vaultName:
		if k.vault = strings.TrimSpace(string(data)); k.vault == "" {
			return true, errors.New("is empty")
		}
	case name == awsName:
		if yaml.Unmarshal(data, &k.aws) != nil || k.aws == nil || k.aws.ID == "" || k.aws.Secret == "" {
			return true, errors.New("is not YAML with aws_access_key_id and aws_secret_access_key")
		}
	case name == gcpName:
		return true, k.readGCP(data)
	case name == azureName:
		if yaml.Unmarshal(data, &k.azure) != nil || k.azure == nil || k.azure.Tenant == "" || k.azure.Client == "" || k.azure.Secret+k.azure.Certificate == "" {
			return true, errors.New("is not YAML with tenantId, clientId and one of clientSecret and clientCertificate")
		}
	default:
		return false, nil
	}
	return true, nil
}

func (k *Keys) readAge(data []byte) error {
	identities, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return errors.New("holds no age identities: each line is AGE-SECRET-KEY-1…, a comment or empty; plug-ins and SSH keys are not supported")
	}
	k.age = append(k.age, identities...)
	return nil
}

var pgpBegin = []byte("-----BEGIN PGP ")

func (k *Keys) readPGP(data []byte) error {
	_, rest, found := bytes.Cut(data, pgpBegin)
	if !found {
		return errors.New("holds no armored OpenPGP key: write it with gpg --export-secret-keys --armor")
	}
	for found {
		var block []byte
		block, rest, found = bytes.Cut(rest, pgpBegin)
		ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(slices.Concat(pgpBegin, block)))
		if err != nil {
			return errors.New("holds an OpenPGP key that can't be read")
		}
		for _, e := range ring {
			switch {
			case e.PrivateKey == nil:
				return fmt.Errorf("holds the public key %X only: export it with gpg --export-secret-keys --armor", e.PrimaryKey.Fingerprint)
			case locked(e):
				return fmt.Errorf("holds the key %X with a passphrase: export it without", e.PrimaryKey.Fingerprint)
			}
			k.pgp = append(k.pgp, e)
		}
	}
	return nil
}

func locked(e *openpgp.Entity) bool {
	return e.PrivateKey.Encrypted || slices.ContainsFunc(e.Subkeys, func(s openpgp.Subkey) bool { return s.PrivateKey != nil && s.PrivateKey.Encrypted })
}

// readGCP takes a service account's key. Other credentials name files,
// programs and addresses of the machine that uses them.
func (k *Keys) readGCP(data []byte) error {
	var account struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(data, &account) != nil || account.Type != "service_account" {
		return errors.New("is not the JSON key of a service account")
	}
	k.gcp = data
	return nil
}
