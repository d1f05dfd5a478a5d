package decrypt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/kms"
	"google.golang.org/grpc"
)

// service opens data keys for SOPS with our keys alone.
type service struct {
	keys   *Keys
	ctx    context.Context //nolint:containedctx // SOPS gives its service the background's
	faults []string        // what else there is to say than that there is no key
}

var errNoKey = errors.New("there is no key for it")

// Encrypt is not needed.
func (s *service) Encrypt(context.Context, *keyservice.EncryptRequest, ...grpc.CallOption) (*keyservice.EncryptResponse, error) {
	return nil, errors.ErrUnsupported
}

// Decrypt opens one data key.
func (s *service) Decrypt(_ context.Context, r *keyservice.DecryptRequest, _ ...grpc.CallOption) (*keyservice.DecryptResponse, error) {
	var plain []byte
	var err error
	switch key := r.GetKey().GetKeyType().(type) {
	case *keyservice.Key_AgeKey:
		plain, err = s.keys.openAge(key.AgeKey.GetRecipient(), r.GetCiphertext())
	case *keyservice.Key_PgpKey:
		plain, err = s.keys.openPGP(r.GetCiphertext())
	default:
		plain, err = s.remote(r)
	}
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// openAge has SOPS use our identities: without any it would look for its own.
func (k *Keys) openAge(recipient string, encrypted []byte) ([]byte, error) {
	if len(k.age) == 0 {
		return nil, errNoKey
	}
	key := sopsage.MasterKey{Recipient: recipient, EncryptedKey: string(encrypted)}
	sopsage.ParsedIdentities(k.age).ApplyToMasterKey(&key)
	return key.Decrypt()
}

// openPGP does what SOPS does by gpg.
func (k *Keys) openPGP(encrypted []byte) ([]byte, error) {
	if len(k.pgp) == 0 {
		return nil, errNoKey
	}
	block, err := armor.Decode(strings.NewReader(string(encrypted)))
	if err != nil {
		return nil, err
	}
	message, err := openpgp.ReadMessage(block.Body, k.pgp, nil, nil)
	if err != nil {
		return nil, err
	}
	const keySize = 1 << 10 // a data key has 32 bytes, or one more as a part
	return io.ReadAll(io.LimitReader(message.UnverifiedBody, keySize))
}

// remote asks a key service of a cloud. What it answers is told to those who
// are trusted alone: the file says which address is asked.
func (s *service) remote(r *keyservice.DecryptRequest) ([]byte, error) {
	what, plain, err := s.keys.ask(s.ctx, r)
	switch {
	case err == nil:
		return plain, nil
	case errors.Is(err, errNoKey):
		s.faults = append(s.faults, what)
	case s.keys.trusted:
		s.faults = append(s.faults, what+": "+err.Error())
	default:
		s.faults = append(s.faults, what+" can't be asked, or refused")
	}
	return nil, err
}

// ask does so. Without credentials it uses those of this process, where that
// is allowed.
func (k *Keys) ask(ctx context.Context, r *keyservice.DecryptRequest) (what string, plain []byte, err error) {
	encrypted := string(r.GetCiphertext())
	lacks := func(have bool, name string) error {
		if have || k.trusted {
			return nil
		}
		return fmt.Errorf("%w: set %s in %s", errNoKey, name, k.from)
	}
	switch key := r.GetKey().GetKeyType().(type) {
	case *keyservice.Key_KmsKey:
		if err := lacks(k.aws != nil, awsName); err != nil {
			return "AWS KMS needs " + awsName, nil, err
		}
		plain, err = k.openAWS(ctx, key.KmsKey, encrypted)
		return "AWS KMS", plain, err
	case *keyservice.Key_GcpKmsKey:
		if err := lacks(k.gcp != nil, gcpName); err != nil {
			return "GCP KMS needs " + gcpName, nil, err
		}
		m := gcpkms.MasterKey{ResourceID: key.GcpKmsKey.GetResourceId(), EncryptedKey: encrypted}
		if k.gcp != nil {
			gcpkms.CredentialJSON(k.gcp).ApplyToMasterKey(&m)
		}
		plain, err = m.DecryptContext(ctx)
		return "GCP KMS", plain, err
	case *keyservice.Key_AzureKeyvaultKey:
		if err := lacks(k.azure != nil, azureName); err != nil {
			return "Azure Key Vault needs " + azureName, nil, err
		}
		plain, err = k.openAzure(ctx, key.AzureKeyvaultKey, encrypted)
		return "Azure Key Vault", plain, err
	case *keyservice.Key_VaultKey:
		if err := lacks(k.vault != "", vaultName); err != nil {
			return "Vault needs " + vaultName, nil, err
		}
		m := hcvault.MasterKey{
			VaultAddress: key.VaultKey.GetVaultAddress(), EnginePath: key.VaultKey.GetEnginePath(),
			KeyName: key.VaultKey.GetKeyName(), EncryptedKey: encrypted,
		}
		hcvault.Token(k.vault).ApplyToMasterKey(&m)
		plain, err = m.DecryptContext(ctx)
		return "Vault", plain, err
	}
	return "a key service that is not supported", nil, errNoKey
}

// openAWS leaves the profile out that a file may name: it is the machine's.
func (k *Keys) openAWS(ctx context.Context, key *keyservice.KmsKey, encrypted string) ([]byte, error) {
	m := kms.MasterKey{Arn: key.GetArn(), Role: key.GetRole(), EncryptedKey: encrypted, EncryptionContext: map[string]*string{}}
	for name, value := range key.GetContext() {
		m.EncryptionContext[name] = &value
	}
	if k.aws != nil {
		kms.NewCredentialsProvider(credentials.NewStaticCredentialsProvider(k.aws.ID, k.aws.Secret, k.aws.Session)).ApplyToMasterKey(&m)
	}
	return m.DecryptContext(ctx)
}

func (k *Keys) openAzure(ctx context.Context, key *keyservice.AzureKeyVaultKey, encrypted string) ([]byte, error) {
	m := azkv.MasterKey{VaultURL: key.GetVaultUrl(), Name: key.GetName(), Version: key.GetVersion(), EncryptedKey: encrypted}
	if k.azure != nil {
		token, err := k.azure.token()
		if err != nil {
			return nil, err
		}
		azkv.NewTokenCredential(token).ApplyToMasterKey(&m)
	}
	return m.DecryptContext(ctx)
}

func (a *azureKey) token() (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{}
	if a.Authority != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: a.Authority}
	}
	if a.Secret != "" {
		return azidentity.NewClientSecretCredential(a.Tenant, a.Client, a.Secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	}
	certificates, key, err := azidentity.ParseCertificates([]byte(a.Certificate), []byte(a.CertificatePassword))
	if err != nil {
		return nil, errors.New("the certificate can't be read")
	}
	return azidentity.NewClientCertificateCredential(a.Tenant, a.Client, certificates, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options})
}
