/** The page that Service `helloworld` answers with. */
export const HELLO_PAGE = `<!DOCTYPE html>
<html>
<head><title>Hello from the cluster</title></head>
<body><h1>Hello, world!</h1><p>This page comes from a pod behind Service helloworld.</p></body>
</html>
`;
