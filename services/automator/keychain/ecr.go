package keychain

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/awslabs/amazon-ecr-credential-helper/ecr-login/api"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-cd/slipway/shared/registry"
)

// ecrHosts are those that the credential helper takes; it tells their parts.
var ecrHosts = regexp.MustCompile(`^(\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.(com|com\.cn|eu)|on\.(aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)|public\.ecr\.aws|ecr-public\.aws\.com)$`)

// publicRegion is the only one that has the API of the public registry.
const publicRegion = "us-east-1"

// ecrSource asks for the token of a registry of Amazon's, by whatever identity
// the SDK finds: a role of the pod or the machine, or variables. It lives for
// twelve hours. The credential helper's own client isn't used, since it doesn't
// tell when a token ends and keeps them in a file.
func ecrSource(host string) registry.Source {
	return func(ctx context.Context) (none authn.AuthConfig, never time.Time, err error) {
		r, err := api.ExtractRegistry(host)
		if err != nil {
			return none, never, fmt.Errorf("sign in to ECR: %w", err)
		}
		region := r.Region
		if r.Service == api.ServiceECRPublic {
			region = publicRegion
		}
		opts := []func(*config.LoadOptions) error{config.WithRegion(region)}
		if r.FIPS {
			opts = append(opts, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
		}
		cfg, err := config.LoadDefaultConfig(ctx, opts...)
		if err != nil {
			return none, never, fmt.Errorf("sign in to ECR: %w", err)
		}
		token, ends, err := ecrToken(ctx, cfg, r.Service)
		if err != nil {
			return none, never, fmt.Errorf("sign in to ECR: %w", err)
		}
		text, err := base64.StdEncoding.DecodeString(token)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return none, never, errors.New("sign in to ECR: what it gave is not user and password")
		}
		return authn.AuthConfig{Username: user, Password: password}, renewAt(ends), nil
	}
}

// ecrToken asks one of the two services.
func ecrToken(ctx context.Context, cfg aws.Config, service api.Service) (token string, ends time.Time, err error) {
	if service == api.ServiceECRPublic {
		out, err := ecrpublic.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
		if err != nil {
			return "", ends, err
		}
		if out.AuthorizationData == nil {
			return "", ends, errors.New("it gave no token")
		}
		return aws.ToString(out.AuthorizationData.AuthorizationToken), aws.ToTime(out.AuthorizationData.ExpiresAt), nil
	}
	out, err := ecr.NewFromConfig(cfg).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", ends, err
	}
	if len(out.AuthorizationData) == 0 {
		return "", ends, errors.New("it gave no token")
	}
	return aws.ToString(out.AuthorizationData[0].AuthorizationToken), aws.ToTime(out.AuthorizationData[0].ExpiresAt), nil
}
