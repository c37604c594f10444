// Validates CloudFormation templates with AWS's own engine, its rules and those of cdk-preflight. Standard input: a JSON list of {path, account, region}; standard output: the list of each one's diagnostics.
const preflight = require('cdk-preflight/lib/private/enforce.js')
const { BUNDLED_RULES, BUNDLED_LIBS } = require('cdk-preflight/lib/rules.generated.js')
const { CompositeEngine, TemplateFile } = preflight.loadEngine()
const templates = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const rules = preflight.prune(BUNDLED_RULES, preflight.templateResourceTypes(templates.map(t => t.path)))
const libraries = BUNDLED_LIBS.map(l => ({ name: l.name, content: l.rego }))
// An engine a region and account, since some rules ask where the template goes; one at a time, since engines slow each other down.
const result = new Map()
for (const place of new Set(templates.map(t => `${t.region} ${t.account}`))) {
  const here = templates.filter(t => `${t.region} ${t.account}` === place)
  const [{ region, account }] = here
  const engine = new CompositeEngine({ regoRules: [...libraries, ...preflight.mergeRuleModules(rules), ...(region ? [preflight.deployEnvironmentModule(region, account)] : [])] })
  const options = { detailLevel: 'STANDARD', severityLevel: 'WARN', pseudoParameterOverrides: { accountId: account || undefined, region: region || undefined } }
  for (const t of here) result.set(t, engine.validateTemplate(new TemplateFile(t.path), options).diagnostics)
  engine.free()
}
process.stdout.write(JSON.stringify(templates.map(t => result.get(t))))
