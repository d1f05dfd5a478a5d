package api

import "fmt"

// Decryption says with what files are decrypted that SOPS encrypted.
type Decryption struct {
	// Secret of the Application's own namespace. Its keys are those of Flux:
	// *.agekey are age identities, *.asc OpenPGP private keys, and
	// sops.vault-token, sops.aws-kms, sops.gcp-kms and sops.azure-kv credentials.
	Secret string `json:"secret"`
}

func (d *Decryption) validate() error {
	if len(d.Secret) > 253 || !resourceName.MatchString(d.Secret) {
		return fmt.Errorf("spec.decryption.secret %q is not the name of a Secret (it is looked for in the Application's own namespace)", d.Secret)
	}
	return nil
}
