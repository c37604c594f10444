package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// bootstrapVersion is the oldest version of the bootstrap's stack that aws-cdk-lib 2.270.0 takes, lookupVersion that of its role for lookups.
const (
	bootstrapVersion = 6
	lookupVersion    = 8
)

// parameterName matches the name of the parameter that holds the version of the bootstrap's stack.
var parameterName = regexp.MustCompile(`^/cdk-bootstrap/([a-z0-9]{1,10})/version$`)

// bootstrapParameter is the parameter of Systems Manager with the version of the bootstrap's stack.
func (s *Stack) bootstrapParameter() string { return "/cdk-bootstrap/" + s.Qualifier + "/version" }

// place returns the account and the region of the stack, or the CDK's placeholders for them.
func (s *Stack) place() (account, region string) {
	if s.Account == "" || s.Region == "" {
		return "${AWS::AccountId}", "${AWS::Region}"
	}
	return s.Account, s.Region
}

// bootstrapped is the name of something that "cdk bootstrap" made.
func (s *Stack) bootstrapped(what string) string {
	account, region := s.place()
	return fmt.Sprintf("cdk-%s-%s-%s-%s", s.Qualifier, what, account, region)
}

// bootstrapRole is the ARN of one of the roles that "cdk bootstrap" made.
func (s *Stack) bootstrapRole(what string) string {
	account, _ := s.place()
	return "arn:${AWS::Partition}:iam::" + account + ":role/" + s.bootstrapped(what)
}

// schemaVersion is that of a manifest's form. Which ones it reads is the CLI's affair; it takes none without.
var schemaVersion = pattern(`[1-9]\d*\.\d+\.\d+`)

// anything matches whatever another rule looks at.
var anything = matcher(func(any) string { return "" })

// deployment looks at how the CLI is told to deploy a stack: with the roles that were made for it, to nobody's notice, and with no parameters, which would replace the template's.
func (l *loader) deployment(s *Stack, id string, artifact manifestArtifact) {
	if m := parameterName.FindStringSubmatch(artifact.property("bootstrapStackVersionSsmParameter")); m != nil {
		s.Qualifier = m[1]
	}
	want := object{
		"templateFile": id + ".template.json", "stackName": optional{s.Name}, "validateOnSynth": optional{false},
		"terminationProtection": anything, "stackTemplateAssetObjectUrl": anything,
		"assumeRoleArn": s.bootstrapRole("deploy-role"), "cloudFormationExecutionRoleArn": s.bootstrapRole("cfn-exec-role"),
		"requiresBootstrapStackVersion": bootstrapVersion, "bootstrapStackVersionSsmParameter": s.bootstrapParameter(),
		"additionalDependencies": list{id + ".assets"},
		"lookupRole": object{
			"arn": s.bootstrapRole("lookup-role"), "requiresBootstrapStackVersion": lookupVersion, "bootstrapStackVersionSsmParameter": s.bootstrapParameter(),
		},
	}
	l.compare(s.Name, "manifest", "properties", artifact.Properties, want)
}

// compare reports how a value of the assembly differs from what it should be.
func (l *loader) compare(file, rule, path string, got, want any) {
	for _, d := range differences(path, plain(got), want) {
		l.report(file, rule, "%s: %s", d.path, d.message)
	}
}

// asset is something that the CLI publishes before it deploys a stack.
type asset struct {
	DisplayName  string
	Source       map[string]any
	Destinations map[string]map[string]any
}

// assets reads an asset manifest of a stack and reports whether it publishes the stack's template.
func (l *loader) assets(s *Stack, id string, assets, stack manifestArtifact) bool {
	l.compare(id, "manifest", "properties", assets.Properties, object{
		"file": anything, "requiresBootstrapStackVersion": bootstrapVersion, "bootstrapStackVersionSsmParameter": s.bootstrapParameter(),
	})
	name := assets.property("file")
	var all struct {
		Version             any
		Files, DockerImages map[string]asset
	}
	if !l.json(name, &all) {
		return false
	}
	l.compare(name, "manifest", "version", all.Version, schemaVersion)
	published := false
	for _, hash := range slices.Sorted(maps.Keys(all.Files)) {
		published = l.template(s, name, hash, all.Files[hash], stack) || published
	}
	for _, hash := range slices.Sorted(maps.Keys(all.DockerImages)) {
		l.image(s, name, hash, all.DockerImages[hash])
	}
	return published
}

// template looks at a file that is published, and reports whether it is the stack's template.
func (l *loader) template(s *Stack, name, hash string, file asset, stack manifestArtifact) bool {
	at := "files[" + hash + "]"
	path, _ := file.Source["path"].(string)
	if path != stack.property("templateFile") {
		l.report(name, "asset", "%s: a fleet needs no file %q", at, path)
		return false
	}
	l.compare(name, "asset", at+".source", file.Source, object{"path": path, "packaging": "file"})
	bucket, key := s.bootstrapped("assets"), hash+".json"
	l.destination(s, name, at, file, object{"bucketName": bucket, "objectKey": key, "assumeRoleArn": s.bootstrapRole("file-publishing-role")})
	if got, want := stack.property("stackTemplateAssetObjectUrl"), "s3://"+bucket+"/"+key; got != want {
		l.report(s.Name, "manifest", "properties.stackTemplateAssetObjectUrl: is %q, want where the template is published, %q", got, want)
	}
	text, err := os.ReadFile(filepath.Join(l.dir, path))
	if err != nil {
		return true // told where the template is read
	}
	// The name under which the template is published. The CLI does not publish a name twice, so that a template that was changed after synth would never be deployed.
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != hash {
		l.report(name, "asset-hash", "%s: %s has changed since it was synthesised; synthesise again", at, path)
	}
	return true
}

// image looks at an image that is built and published.
func (l *loader) image(s *Stack, name, hash string, built asset) {
	at := "dockerImages[" + hash + "]"
	image := Image{Hash: hash}
	directory, _ := built.Source["directory"].(string)
	image.Directory = filepath.Join(l.dir, filepath.Base(directory))
	image.Platform, _ = built.Source["platform"].(string)
	// Nothing else: build arguments, for one, stay in the image's history for everybody to read. Invariants compares the platform with the parameters.
	l.compare(name, "image", at+".source", built.Source, object{"directory": "asset." + hash, "platform": anything})
	l.destination(s, name, at, built, object{"repositoryName": s.bootstrapped("container-assets"), "imageTag": anything, "assumeRoleArn": s.bootstrapRole("image-publishing-role")})
	for _, d := range built.Destinations {
		image.Repository, _ = d["repositoryName"].(string)
		image.Tag, _ = d["imageTag"].(string)
	}
	l.context(name, &image)
	s.Images = append(s.Images, image)
}

// destination looks at where an asset is published: at one place, with the role that was made for it, in the stack's region.
func (l *loader) destination(s *Stack, name, at string, published asset, want object) {
	if len(published.Destinations) != 1 {
		l.report(name, "asset", "%s.destinations: %d, want 1", at, len(published.Destinations))
	}
	if s.Region != "" {
		want["region"] = s.Region
	}
	for _, key := range slices.Sorted(maps.Keys(published.Destinations)) {
		l.compare(name, "asset", at+".destinations["+key+"]", published.Destinations[key], want)
	}
}
