<?php
$proxy = parse_url(getenv('PROXY'));
$http = ['proxy' => "tcp://{$proxy['host']}:{$proxy['port']}", 'request_fulluri' => true];
if (isset($proxy['user'])) {
    $user = rawurldecode($proxy['user']) . ':' . rawurldecode($proxy['pass']);
    $http['header'] = 'Proxy-Authorization: Basic ' . base64_encode($user);
}
foreach (array_slice($argv, 1) as $url) {
    // A tunnel's request is the destination's: it has the path alone.
    $http['request_fulluri'] = !str_starts_with($url, 'https:');
    $body = file_get_contents($url, false, stream_context_create(['http' => $http]));
    if ($body === false) {
        exit(1);
    }
    echo $body;
}
