import java.net.URI;
import org.apache.http.HttpHost;
import org.apache.http.auth.*;
import org.apache.http.client.methods.HttpGet;
import org.apache.http.impl.client.*;
import org.apache.http.util.EntityUtils;

class GetApache {
    public static void main(String[] urls) throws Exception {
        var proxy = URI.create(System.getenv("PROXY"));
        var credentials = new BasicCredentialsProvider();
        if (proxy.getUserInfo() != null) {
            credentials.setCredentials(new AuthScope(proxy.getHost(), proxy.getPort()),
                    new UsernamePasswordCredentials(proxy.getUserInfo()));
        }
        var builder = HttpClients.custom()
                .setProxy(new HttpHost(proxy.getHost(), proxy.getPort(), proxy.getScheme()))
                .setDefaultCredentialsProvider(credentials);
        try (var client = builder.build()) {
            for (var url : urls) {
                try (var answer = client.execute(new HttpGet(url))) {
                    if (answer.getStatusLine().getStatusCode() != 200) {
                        throw new Exception(url + ": " + answer.getStatusLine());
                    }
                    System.out.println(EntityUtils.toString(answer.getEntity()));
                }
            }
        }
    }
}
