<?php
$curl = curl_init();
curl_setopt_array($curl, [
    CURLOPT_PROXY => getenv('PROXY'),
    CURLOPT_PROXYAUTH => CURLAUTH_ANY, // Basic or Digest, as the proxy asks
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_FAILONERROR => true,
]);
foreach (array_slice($argv, 1) as $url) {
    curl_setopt($curl, CURLOPT_URL, $url);
    $body = curl_exec($curl);
    if ($body === false) {
        throw new Exception("$url: " . curl_error($curl));
    }
    echo $body;
}
