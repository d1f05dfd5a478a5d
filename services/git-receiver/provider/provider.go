// Package provider reads the webhooks of Git hosts: one file for each, one
// row in the table.
package provider

import "github.com/slipway-cd/slipway/shared/webhook"

// Table lists every provider of the git-receiver.
var Table = []webhook.Provider{
	github,
	gitea,
	forgejo,
	gogs,
	gitlab,
	bitbucketCloud,
	bitbucketDatacenter,
	azureDevops,
	awsCodecommit,
	awsSNS,
	gitee,
	harness,
}
