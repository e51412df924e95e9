// A real OpenID provider (oidc-provider) for tests/it/real_servers.rs: discovery, keys and tokens by client credentials.
// Arguments: the issuer, and the path of the package (it is installed under target/tools). Prints its port once it listens.
import { createRequire } from 'node:module';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [issuer, packages] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(createRequire(packages + '/').resolve('oidc-provider')));
const jwk = (type, options, more) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...more });

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'soakwatch', client_secret: process.env.CLIENT_SECRET, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    scope: 'orders:read',
  }],
  scopes: ['openid', 'orders:read'],
  jwks: { keys: [jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256', kid: 'rsa-1' }), jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256', kid: 'ec-1' })] },
  cookies: { keys: ['only for tests'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://orders.example.com',
      getResourceServerInfo: () => ({ scope: 'orders:read', audience: 'https://orders.example.com', accessTokenFormat: 'jwt', accessTokenTTL: 3600 }),
    },
  },
});
provider.proxy = true;
const server = provider.listen(0, '127.0.0.1', () => console.log(server.address().port));
