// Runs AWS's offline validation and cdk-preflight over CloudFormation templates.
// Standard input: a JSON list of {path, account, region}. Standard output: a list of {path, rule, resource, message}.
const { App, CloudFormationValidatePlugin, Validations } = require('aws-cdk-lib')
const { Preflight } = require('cdk-preflight')
const app = new App()
const plugins = [new CloudFormationValidatePlugin()]
// Preflight registers its plugin for the synthesis of an app; here it judges files.
Validations.prototype.addPlugins = (...more) => { plugins.push(...more) }
Preflight.apply(app)
const found = []
for (const { path, account, region } of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  const place = { accountId: account || undefined, region: region || undefined }
  const stackTemplates = [{ stackConstructPath: path, templatePath: path, ...place }]
  for (const plugin of plugins) {
    for (const v of plugin.validate({ templatePaths: [path], stackTemplates, appConstruct: app, ...place }).violations) {
      for (const r of v.violatingResources) {
        found.push({ path, rule: v.ruleName, resource: r.resourceLogicalId ?? '-', message: v.description })
      }
    }
  }
}
process.stdout.write(JSON.stringify(found))
