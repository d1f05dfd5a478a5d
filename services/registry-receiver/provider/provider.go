// Package provider reads the webhooks of registries: one file for each, one
// row in the table.
package provider

import "github.com/slipway-cd/slipway/shared/webhook"

// Table lists every provider of the registry-receiver.
var Table = []webhook.Provider{
	distribution,
	dockerhub,
	github,
	gitlab,
	quay,
	harbor,
	zot,
	acr,
	ecr,
	awsSNS,
	artifactory,
	nexus,
	giteaPackages,
	aliyunACR,
	cloudsmith,
	oracleOCIR,
	gar,
	azureEventgrid,
	cloudevents,
	cdevents,
	generic,
}
